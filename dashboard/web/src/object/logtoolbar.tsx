import { useEffect, useRef } from 'preact/hooks';
import type { LevelFilter, LogSource } from './logbuffer';

/** Settings are what the user chose for a log view. */
export interface Settings {
  search: string;
  regex: boolean;
  matchCase: boolean;
  only: boolean;
  levels: LevelFilter;
  pod: string;
  container: string;
  previous: boolean;
  wrap: boolean;
  time: boolean;
}

export const defaultSettings: Settings = {
  search: '',
  regex: false,
  matchCase: false,
  only: false,
  levels: 'all',
  pod: '',
  container: '',
  previous: false,
  wrap: true,
  time: true,
};

interface Props {
  settings: Settings;
  onSettings(settings: Settings): void;
  sources: LogSource[];
  problem: string; // of the expression
  found: number;
  position: number; // of the match that the list is at, from 1; 0: none
  onFind(direction: 1 | -1): void;
  follow: boolean;
  onFollow(follow: boolean): void;
  onDownload(): void;
}

/** LogToolbar chooses what a log view shows. Ctrl+F leads to the search, and / as in all views. */
export function LogToolbar(props: Props) {
  const { settings, onSettings, sources } = props;
  const set = (change: Partial<Settings>) => onSettings({ ...settings, ...change });
  const toggle = (name: 'only' | 'previous' | 'wrap' | 'time', label: string) => (
    <label class="check">
      <input type="checkbox" checked={settings[name]} onChange={(e) => set({ [name]: e.currentTarget.checked })} />
      {label}
    </label>
  );
  return (
    <div class="log-toolbar" role="group" aria-label="Log settings">
      <div class="log-filters">
        <Choice label="Pod" all="All pods" value={settings.pod} options={sources.map((s) => s.pod)} onChange={(pod) => set({ pod })} />
        <Choice
          label="Container"
          all="All containers"
          value={settings.container}
          options={sources.map((s) => s.container)}
          onChange={(container) => set({ container })}
        />
        <select aria-label="Levels" value={settings.levels} onChange={(e) => set({ levels: e.currentTarget.value as LevelFilter })}>
          <option value="all">All levels</option>
          <option value="warn">Warnings and errors</option>
          <option value="error">Errors</option>
        </select>
        <Search {...props} set={set} />
        {toggle('only', 'Only matches')}
      </div>
      <div class="log-options">
        <label class="check">
          <input type="checkbox" checked={props.follow} onChange={(e) => props.onFollow(e.currentTarget.checked)} />
          Follow
        </label>
        {toggle('previous', 'Previous run')}
        {toggle('time', 'Timestamps')}
        {toggle('wrap', 'Wrap')}
        <button type="button" onClick={props.onDownload}>
          Download
        </button>
      </div>
    </div>
  );
}

function Choice({
  label,
  all,
  value,
  options,
  onChange,
}: {
  label: string;
  all: string;
  value: string;
  options: string[];
  onChange(value: string): void;
}) {
  const distinct = [...new Set(options)];
  if (distinct.length < 2 && !value) return null;
  return (
    <select aria-label={label} value={value} onChange={(e) => onChange(e.currentTarget.value)}>
      <option value="">{all}</option>
      {distinct.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

function Search({ settings, set, problem, found, position, onFind }: Props & { set(change: Partial<Settings>): void }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key !== 'f' || !(e.ctrlKey || e.metaKey) || document.querySelector('dialog[open]')) return;
      e.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
  const state = problem || (settings.search ? (position ? `${position} of ${found}` : `${found} found`) : '');
  return (
    <span class="log-search" role="search">
      <input
        ref={input}
        type="search"
        data-filter
        placeholder="Search"
        aria-label="Search in the log"
        aria-invalid={problem ? 'true' : undefined}
        spellcheck={false}
        value={settings.search}
        onInput={(e) => set({ search: e.currentTarget.value })}
        onKeyDown={(e) => {
          if (e.key === 'Enter') onFind(e.shiftKey ? -1 : 1);
          if (e.key === 'Escape') set({ search: '' });
        }}
      />
      <Toggle on={settings.matchCase} label="Match case" text="Aa" onClick={() => set({ matchCase: !settings.matchCase })} />
      <Toggle on={settings.regex} label="Regular expression" text=".*" onClick={() => set({ regex: !settings.regex })} />
      <button type="button" aria-label="Previous match" title="Previous match (Shift+Enter)" disabled={!found} onClick={() => onFind(-1)}>
        ↑
      </button>
      <button type="button" aria-label="Next match" title="Next match (Enter)" disabled={!found} onClick={() => onFind(1)}>
        ↓
      </button>
      <span class={problem ? 'log-count problem' : 'log-count'} aria-live="polite">
        {state}
      </span>
    </span>
  );
}

function Toggle({ on, label, text, onClick }: { on: boolean; label: string; text: string; onClick(): void }) {
  return (
    <button type="button" class="toggle" aria-pressed={on} aria-label={label} title={label} onClick={onClick}>
      {text}
    </button>
  );
}
