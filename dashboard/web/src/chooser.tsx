import type { ComponentChildren } from 'preact';
import { useEffect, useId, useMemo, useRef, useState } from 'preact/hooks';
import { Dialog } from './ui';

export interface Choice {
  id: string;
  title: string;
  detail?: ComponentChildren; // in grey behind the title
}

interface ChooserProps {
  title: string;
  placeholder: string;
  choices: Choice[];
  current?: string; // id of what is chosen now
  other?: (text: string) => Choice; // makes a choice of what is typed
  onChoose: (c: Choice) => void;
  onClose: () => void;
}

/** More choices than this are not shown; typing finds them. */
const maxShown = 100;

/** Chooser is a dialog with a field and a list below: a combobox as of https://www.w3.org/WAI/ARIA/apg/patterns/combobox/. */
export function Chooser({ title, placeholder, choices, current, other, onChoose, onClose }: ChooserProps) {
  const [text, setText] = useState('');
  const found = useMemo(() => find(choices, text, other), [choices, text]);
  const [selected, setSelected] = useState<string | undefined>(current);
  const at = Math.max(0, found.findIndex((c) => c.id === selected));
  const id = useId();
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }), [at, found]);
  const onKeyDown = (e: KeyboardEvent) => {
    const step = e.key === 'ArrowDown' ? 1 : e.key === 'ArrowUp' ? -1 : 0;
    if (step) setSelected(found[(at + step + found.length) % found.length]?.id);
    else if (e.key === 'Enter' && found[at]) onChoose(found[at]);
    else return;
    e.preventDefault();
  };
  const onInput = (value: string) => {
    setText(value);
    setSelected(undefined);
  };
  return (
    <Dialog title={title} onClose={onClose} class="chooser">
      <input
        role="combobox"
        aria-label={title}
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={found.length ? `${id}-${at}` : undefined}
        placeholder={placeholder}
        value={text}
        onInput={(e) => onInput(e.currentTarget.value)}
        onKeyDown={onKeyDown}
        autocomplete="off"
        spellcheck={false}
      />
      <ul role="listbox" id={id} ref={list} aria-label={title}>
        {found.map((c, i) => (
          <li key={c.id} id={`${id}-${i}`} role="option" aria-selected={i === at} class={c.id === current ? 'current' : undefined} onClick={() => onChoose(c)}>
            <span>{c.title}</span>
            {c.detail && <span class="faint">{c.detail}</span>}
          </li>
        ))}
      </ul>
      {!found.length && <p class="faint none">Nothing has this name.</p>}
    </Dialog>
  );
}

/** find puts names that begin with the text before those that contain it. */
function find(choices: Choice[], text: string, other?: (text: string) => Choice): Choice[] {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return choices.slice(0, maxShown);
  const starts: Choice[] = [];
  const contains: Choice[] = [];
  for (const c of choices) {
    const at = c.title.toLowerCase().indexOf(wanted);
    if (at === 0) starts.push(c);
    else if (at > 0 || (typeof c.detail === 'string' && c.detail.toLowerCase().includes(wanted))) contains.push(c);
  }
  const found = [...starts, ...contains].slice(0, maxShown);
  return found.length || !other ? found : [other(text.trim())];
}
