// The page's keys. They are never read while the user types, nor while a dialog is open.

import { useEffect, useRef } from 'preact/hooks';

/** A second key of a sequence, such as the m of "g m", has to come within so many milliseconds. */
const sequenceLimit = 1200;

export function isTyping(e: KeyboardEvent): boolean {
  const t = e.target as HTMLElement | null;
  return !!t?.closest?.('input, textarea, select, [contenteditable=true], .xterm');
}

/** useKeys calls handlers by key: "?", "/", "g m". A handler that returns false lets the browser have the key. */
export function useKeys(handlers: Record<string, (e: KeyboardEvent) => void | false>): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    let first = '';
    let firstAt = 0;
    const onKeyDown = (e: KeyboardEvent) => {
      if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || isTyping(e) || document.querySelector('dialog[open]')) return;
      const sequence = first && e.timeStamp - firstAt < sequenceLimit ? `${first} ${e.key}` : e.key;
      first = e.key === 'g' ? 'g' : '';
      firstAt = e.timeStamp;
      const handler = latest.current[sequence];
      if (handler && handler(e) !== false) e.preventDefault();
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, []);
}

/** focusFilter moves the focus to the view's filter. */
export function focusFilter(): void | false {
  const input = document.querySelector<HTMLInputElement>('[data-filter]');
  if (!input) return false;
  input.focus();
  input.select();
}

/** The keys, for the help. */
export const keyHelp: [keys: string[], does: string][] = [
  [['/'], 'Filter'],
  [['n'], 'Choose a namespace'],
  [[':'], 'Go to a kind or an object'],
  [['c'], 'New object'],
  [['g', 'm'], 'Map'],
  [['g', 'p'], 'Pods'],
  [['g', 'd'], 'Deployments'],
  [['g', 's'], 'Services'],
  [['g', 'e'], 'Events'],
  [['j'], 'Next row'],
  [['k'], 'Previous row'],
  [['Enter'], 'Open the row'],
  [['o'], 'Overview of the object; e, l, s, y, m: events, logs, terminal, YAML, metrics'],
  [['Esc'], 'Close, or leave the filter'],
  [['?'], 'This help'],
];
