// The lines of a log view: bounded, with a filter and a search that look at each line once.

import { hasSequences, stripAnsi } from './ansi';
import { type Level, levelOf } from './level';

/** maxLines is how many lines are kept while following; pausedLines while somebody reads further up. */
export const maxLines = 20_000;
export const pausedLines = 60_000;
/** maxLength is how much of a line is kept, in characters. */
const maxLength = 20_000;

/** LogSource is one container whose log is read. */
export interface LogSource {
  key: string; // uid/container
  namespace: string;
  pod: string;
  container: string;
  /** label is what tells it from the other sources: the end of the pod's name, the container's name, or both. */
  label: string;
  color: number; // of the palette, 0 to 7
}

/** Line is one line of a log, or a note of the page: that a pod joined or a container ended. */
export interface Line {
  seq: number; // given by append, in the order of the buffer
  source: LogSource;
  note: boolean;
  time: string; // RFC 3339 in nanoseconds; empty for notes
  raw: string;
  text: string; // without escape sequences
  level: Level | undefined;
  /** group is the level of the entry that an indented line continues, else its own. */
  group: Level | undefined;
}

export type LevelFilter = 'all' | 'warn' | 'error';

/** Query says which lines are shown and found. */
export interface Query {
  search: RegExp | undefined;
  /** only shows the lines that the search finds. */
  only: boolean;
  levels: LevelFilter;
  pod: string; // empty: all
  container: string; // empty: all
}

export const everything: Query = { search: undefined, only: false, levels: 'all', pod: '', container: '' };

/** LogBuffer keeps lines in order of arrival. shown and found are subsets of lines, in the same order. */
export class LogBuffer {
  lines: Line[] = [];
  shown: Line[] = [];
  found: Line[] = [];
  /** dropped counts the lines that were let go because there were too many. */
  dropped = 0;
  private query: Query = everything;
  private nextSeq = 1;
  private groups = new Map<string, Level | undefined>();

  /** parse makes a line of what the log of a source has; with timestamps=true each begins with one. */
  parse(source: LogSource, line: string): Line {
    const space = line.indexOf(' ');
    const stamped = space >= 20 && line.charCodeAt(10) === 84; /* T */
    const raw = clip(stamped ? line.slice(space + 1) : line);
    const text = hasSequences(raw) ? stripAnsi(raw) : raw;
    const level = levelOf(text);
    const continued = level === undefined && /^(?:\s|Caused by|at )/.test(text);
    const group = continued ? this.groups.get(source.key) : level;
    this.groups.set(source.key, group);
    return { seq: 0, source, note: false, time: stamped ? line.slice(0, space) : '', raw, text, level, group };
  }

  note(source: LogSource, text: string): Line {
    return { seq: 0, source, note: true, time: '', raw: text, text, level: undefined, group: undefined };
  }

  /** append adds lines and lets the oldest go; it returns how many of the shown ones were added and went. */
  append(batch: Line[], limit: number): { added: number; gone: number } {
    let added = 0;
    for (const line of batch) {
      line.seq = this.nextSeq++;
      this.lines.push(line);
      if (!this.shows(line)) continue;
      this.shown.push(line);
      added++;
      if (this.finds(line)) this.found.push(line);
    }
    return { added, gone: this.trim(limit) };
  }

  private trim(limit: number): number {
    const excess = this.lines.length - limit;
    if (excess <= 0) return 0;
    this.dropped += excess;
    this.lines.splice(0, excess);
    const first = this.lines[0]?.seq ?? this.nextSeq;
    this.found.splice(0, countBefore(this.found, first));
    const gone = countBefore(this.shown, first);
    this.shown.splice(0, gone);
    return gone;
  }

  setQuery(query: Query): void {
    this.query = query;
    this.shown = this.lines.filter((line) => this.shows(line));
    this.found = query.search ? this.shown.filter((line) => this.finds(line)) : [];
  }

  clear(): void {
    this.lines = [];
    this.shown = [];
    this.found = [];
    this.dropped = 0;
    this.groups.clear();
  }

  private shows(line: Line): boolean {
    const { pod, container, levels, only } = this.query;
    if (pod && line.source.pod !== pod) return false;
    if (container && line.source.container !== container) return false;
    if (line.note) return true;
    if (levels === 'error' && line.group !== 'error') return false;
    if (levels === 'warn' && line.group !== 'error' && line.group !== 'warn') return false;
    return !only || !this.query.search || this.finds(line);
  }

  private finds(line: Line): boolean {
    const { search } = this.query;
    if (!search || line.note) return false;
    search.lastIndex = 0;
    return search.test(line.text);
  }
}

/** countBefore returns how many lines of an ordered list come before a sequence number. */
export function countBefore(lines: Line[], seq: number): number {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lines[middle]!.seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** searchOf makes an expression of what was typed; a string says why it is none. */
export function searchOf(typed: string, regex: boolean, matchCase: boolean): RegExp | string | undefined {
  if (!typed) return undefined;
  try {
    const source = regex ? typed : typed.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return new RegExp(source, matchCase ? 'g' : 'gi');
  } catch (err) {
    return (err as Error).message;
  }
}

function clip(line: string): string {
  return line.length > maxLength ? line.slice(0, maxLength) + ` … (${line.length - maxLength} more characters)` : line;
}
