// The elements that all views are made of.

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { Health } from './health';
import { ageOf } from './units';

const healthWords: Record<Health, string> = { ok: 'well', progressing: 'in progress', failed: 'failed', idle: 'idle' };

/** Mark is the shape of a health: a dot, a half, a cross, a ring. Its colour repeats what its shape says. */
export function Mark({ health }: { health: Health }) {
  return (
    <svg class={`mark ${health}`} viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
      {health === 'ok' && <circle cx="5" cy="5" r="4" />}
      {health === 'idle' && <circle cx="5" cy="5" r="3.3" class="hollow" />}
      {health === 'progressing' && (
        <>
          <circle cx="5" cy="5" r="3.5" class="hollow" />
          <path d="M5 1.5a3.5 3.5 0 0 1 0 7z" />
        </>
      )}
      {health === 'failed' && <path d="M2 2l6 6M8 2l-6 6" class="stroke" />}
    </svg>
  );
}

/** Badge says a health in a word, with its mark. */
export function Badge({ health, text, title }: { health: Health; text: string; title?: string }) {
  return (
    <span class={`badge ${health}`} title={title}>
      <Mark health={health} />
      <span>{text || healthWords[health]}</span>
    </span>
  );
}

const ticking = new Set<() => void>();
setInterval(() => {
  if (!document.hidden) for (const t of ticking) t();
}, 1000);

/** Age is how long ago something was, as kubectl writes it: 45s, 3m12s, 2d4h. */
export function Age({ time }: { time?: string }) {
  const [, setText] = useState('');
  useEffect(() => {
    const tick = () => setText(ageOf(time));
    ticking.add(tick);
    return () => void ticking.delete(tick);
  }, [time]);
  if (!time) return null;
  return (
    <time class="age" dateTime={time} title={new Date(time).toLocaleString()}>
      {ageOf(time)}
    </time>
  );
}

interface ButtonProps {
  onClick: (e: MouseEvent) => void;
  children: ComponentChildren;
  danger?: boolean;
  primary?: boolean;
  label?: string; // for screen readers, where the content is a sign
  title?: string;
  disabled?: boolean;
  pressed?: boolean; // of a switch
  class?: string;
}

export function Button({ onClick, children, danger, primary, label, title, disabled, pressed, class: extra }: ButtonProps) {
  const classes = [danger && 'danger', primary && 'primary', extra].filter(Boolean).join(' ');
  return (
    <button type="button" class={classes} onClick={onClick} aria-label={label} title={title ?? label} disabled={disabled} aria-pressed={pressed}>
      {children}
    </button>
  );
}

/** Empty says why there is nothing to see, and what to type. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** Command is something to type, with a button that copies it. */
export function Command({ text }: { text: string }) {
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => notify('Copied'),
      () => notify('The browser does not let the page copy', 'error'),
    );
  return (
    <span class="command">
      <code>{text}</code>
      <button type="button" class="copy" onClick={copy} aria-label={`Copy: ${text}`}>
        Copy
      </button>
    </span>
  );
}

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  class?: string;
}

/** Dialog is modal: the browser keeps the focus within and gives it back, Escape closes. */
export function Dialog({ title, onClose, children, class: extra }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    const dialog = element.current!;
    dialog.showModal();
    if (!dialog.querySelector('[autofocus]')) dialog.querySelector<HTMLElement>('input, select, textarea')?.focus();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const onCancel = (e: Event) => {
    e.preventDefault();
    onClose();
  };
  const onClick = (e: JSX.TargetedMouseEvent<HTMLDialogElement>) => {
    if (e.target === e.currentTarget) onClose(); // the backdrop
  };
  return (
    <dialog ref={element} class={`dialog ${extra ?? ''}`} aria-labelledby={id} onCancel={onCancel} onClick={onClick}>
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <Button onClick={onClose} label="Close" class="quiet">
            <Cross />
          </Button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

export function Cross() {
  return (
    <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
      <path d="M2 2l8 8M10 2l-8 8" class="stroke" />
    </svg>
  );
}

interface ConfirmProps {
  title: string;
  children?: ComponentChildren; // what will happen
  action: string; // the word on the button: Delete
  onConfirm: () => void | Promise<unknown>;
  onClose: () => void;
  danger?: boolean;
  typed?: string; // what has to be typed first, for what cannot be undone
}

/** Confirm asks before something is done, and closes when it is done; an error stays to be read. */
export function Confirm({ title, children, action, onConfirm, onClose, danger, typed }: ConfirmProps) {
  const [text, setText] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const confirm = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    try {
      await onConfirm();
      onClose();
    } catch (err) {
      setError((err as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={confirm}>
        {children}
        {typed !== undefined && (
          <label class="field">
            <span>
              Type <code>{typed}</code> to confirm
            </span>
            <input value={text} onInput={(e) => setText(e.currentTarget.value)} autocomplete="off" spellcheck={false} />
          </label>
        )}
        {error && (
          <p class="error" role="alert">
            {error}
          </p>
        )}
        <div class="dialog-buttons">
          <Button onClick={onClose}>Cancel</Button>
          <button type="submit" class={danger ? 'danger' : 'primary'} disabled={busy || (typed !== undefined && text !== typed)}>
            {action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

interface TabsProps {
  tabs: { id: string; title: ComponentChildren }[];
  current: string;
  onSelect: (id: string) => void;
  label: string;
}

/** Tabs are a tablist: arrows move, the panel is the caller's and has role=tabpanel. */
export function Tabs({ tabs, current, onSelect, label }: TabsProps) {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (e: KeyboardEvent) => {
    const step = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0;
    if (!step) return;
    e.preventDefault();
    const at = tabs.findIndex((t) => t.id === current);
    const next = (at + step + tabs.length) % tabs.length;
    onSelect(tabs[next]!.id);
    list.current?.querySelectorAll('button')[next]?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={onKeyDown}>
      {tabs.map((t) => (
        <button
          key={t.id}
          type="button"
          role="tab"
          id={`tab-${t.id}`}
          aria-selected={t.id === current}
          tabIndex={t.id === current ? 0 : -1}
          onClick={() => onSelect(t.id)}
        >
          {t.title}
        </button>
      ))}
    </div>
  );
}

interface Toast {
  id: number;
  text: string;
  kind: 'info' | 'error';
}
let toasts: Toast[] = [];
let nextToast = 1;
let renderToasts = () => {};

/** notify says something in passing. What failed stays until it is closed. */
export function notify(text: string, kind: Toast['kind'] = 'info'): void {
  const id = nextToast++;
  toasts = [...toasts.slice(-3), { id, text, kind }];
  renderToasts();
  if (kind === 'info') setTimeout(() => closeToast(id), 4000);
}

function closeToast(id: number): void {
  toasts = toasts.filter((t) => t.id !== id);
  renderToasts();
}

/** Toasts is where notify's texts appear, once on the page. */
export function Toasts() {
  const [, render] = useState(0);
  useEffect(() => {
    renderToasts = () => render((n) => n + 1);
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.map((t) => (
        <div key={t.id} class={`toast ${t.kind}`}>
          <span>{t.text}</span>
          <Button onClick={() => closeToast(t.id)} label="Dismiss" class="quiet">
            <Cross />
          </Button>
        </div>
      ))}
    </div>
  );
}
