import { useEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from './objects';

interface Props {
  text: string;
  onText(text: string): void;
  /** onReview is called for Ctrl+S. */
  onReview(): void;
  problems: Problem[];
  label: string;
  disabled?: boolean;
}

const indent = '  ';

/**
 * Editor is a text area with line numbers. Tab indents; after Escape it leaves the editor, so that the keyboard is not trapped
 * (https://www.w3.org/WAI/WCAG22/Understanding/no-keyboard-trap).
 */
export function Editor({ text, onText, onReview, problems, label, disabled }: Props) {
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLPreElement>(null);
  const [leaving, setLeaving] = useState(false);
  const count = text.split('\n').length;
  const marked = new Set(problems.map((p) => p.line));

  useEffect(() => area.current?.focus(), []);
  const onKeyDown = (e: KeyboardEvent) => {
    if ((e.ctrlKey || e.metaKey) && e.key === 's') {
      e.preventDefault();
      onReview();
    } else if (e.key === 'Escape') {
      if (!leaving) e.preventDefault(); // the first one does not close the dialog that the editor may be in
      setLeaving(true);
    } else if (e.key === 'Tab' && !leaving) {
      e.preventDefault();
      shift(area.current!, e.shiftKey);
    } else if (e.key === 'Enter' && !e.ctrlKey && !e.metaKey && !e.isComposing) {
      e.preventDefault();
      newLine(area.current!);
    } else if (e.key !== 'Shift') setLeaving(false);
  };

  return (
    <div class="editor">
      <div class="code editor-code">
        <pre class="code-gutter" ref={gutter} aria-hidden="true">
          {Array.from({ length: count }, (_, i) => (
            <span key={i} class={marked.has(i + 1) ? 'bad' : undefined}>
              {i + 1}
              {'\n'}
            </span>
          ))}
        </pre>
        <textarea
          ref={area}
          class="code-text"
          autofocus
          wrap="off"
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          aria-label={label}
          aria-describedby="editor-hint"
          disabled={disabled}
          value={text}
          onInput={(e) => onText(e.currentTarget.value)}
          onKeyDown={onKeyDown}
          onBlur={() => setLeaving(false)}
          onScroll={(e) => gutter.current && (gutter.current.style.transform = `translateY(${-e.currentTarget.scrollTop}px)`)}
        />
      </div>
      <Problems problems={problems} onGo={(line) => area.current && goTo(area.current, line)} />
      <p class="faint" id="editor-hint">
        Tab indents, Ctrl+S reviews. Press Escape and then Tab to leave the editor.
      </p>
    </div>
  );
}

/** Problems lists what the server finds wrong; those with a line lead to it. */
function Problems({ problems, onGo }: { problems: Problem[]; onGo(line: number): void }) {
  if (!problems.length) return null;
  return (
    <ul class="problems" role="alert">
      {problems.map((p, i) => (
        <li key={i}>
          {p.line > 0 && (
            <button type="button" class="link" onClick={() => onGo(p.line)}>
              Line {p.line}
            </button>
          )}{' '}
          {p.message}
        </li>
      ))}
    </ul>
  );
}

function goTo(area: HTMLTextAreaElement, line: number): void {
  const lines = area.value.split('\n');
  const start = lines.slice(0, line - 1).reduce((sum, l) => sum + l.length + 1, 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
  area.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(area).lineHeight));
}

/** replace changes a part of the text in a way that Ctrl+Z takes back. */
function replace(area: HTMLTextAreaElement, from: number, to: number, text: string): void {
  area.setSelectionRange(from, to);
  // execCommand is deprecated, but the only way that keeps the undo history of a text area.
  if (!document.execCommand('insertText', false, text)) {
    area.setRangeText(text, from, to, 'end');
    area.dispatchEvent(new InputEvent('input', { bubbles: true }));
  }
}

/** shift indents the lines of the selection, or takes an indentation off. */
function shift(area: HTMLTextAreaElement, back: boolean): void {
  const { value, selectionStart, selectionEnd } = area;
  if (selectionStart === selectionEnd && !back) return replace(area, selectionStart, selectionEnd, indent);
  const from = value.lastIndexOf('\n', selectionStart - 1) + 1;
  const end = selectionEnd > selectionStart && value[selectionEnd - 1] === '\n' ? selectionEnd - 1 : selectionEnd;
  const next = value.indexOf('\n', end);
  const to = next < 0 ? value.length : next;
  const lines = value.slice(from, to).split('\n');
  const shifted = lines.map((line) => (back ? line.replace(/^ {1,2}/, '') : line && indent + line)).join('\n');
  if (shifted === lines.join('\n')) return;
  replace(area, from, to, shifted);
  const first = shifted.split('\n')[0]!.length - lines[0]!.length;
  if (selectionStart === selectionEnd) {
    const at = Math.max(from, selectionStart + first);
    area.setSelectionRange(at, at);
  } else area.setSelectionRange(Math.max(from, selectionStart + first), from + shifted.length);
}

/** newLine keeps the indentation, and goes deeper after a key without a value. */
function newLine(area: HTMLTextAreaElement): void {
  const { value, selectionStart, selectionEnd } = area;
  const line = value.slice(value.lastIndexOf('\n', selectionStart - 1) + 1, selectionStart);
  const item = /^(\s*)(- )?/.exec(line)!;
  const deeper = /:\s*$/.test(line) ? indent : '';
  replace(area, selectionStart, selectionEnd, '\n' + item[1]! + (item[2] ? indent : '') + deeper);
}
