import { Component } from 'preact';
import type { JSX } from 'preact';
import { type Part, type Style, hasSequences, parseAnsi } from './ansi';
import type { Line } from './logbuffer';

/** Display says which parts of a line are shown, and how. */
export interface Display {
  wrap: boolean;
  time: boolean;
  name: boolean;
  search: RegExp | undefined;
}

interface Props {
  line: Line;
  display: Display;
  current: boolean; // the search is at this line
}

/** Beyond this many matches in a line the rest is not marked. */
const maxMarks = 200;

/** LogRow is one line. A line never changes, so it is only made again when its display does. */
export class LogRow extends Component<Props> {
  override shouldComponentUpdate(next: Props): boolean {
    return next.line !== this.props.line || next.display !== this.props.display || next.current !== this.props.current;
  }

  render({ line, display, current }: Props): JSX.Element {
    if (line.note) {
      return <div class="log-row log-note">{line.text}</div>;
    }
    const level = line.group ? ` log-${line.group}` : '';
    return (
      <div class={`log-row${level}${current ? ' log-current' : ''}`}>
        {display.time && (
          <span class="log-time" title={line.time}>
            {clock(line.time)}
          </span>
        )}
        {display.name && (
          <span class={`log-name log-c${line.source.color}`} title={`${line.source.pod}, container ${line.source.container}`}>
            {line.source.label}
          </span>
        )}
        <span class="log-text">{textOf(line, display.search)}</span>
      </div>
    );
  }
}

/** clock is the time of the day in the browser's time zone, in milliseconds. */
export function clock(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '';
  const two = (n: number) => String(n).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

function textOf(line: Line, search: RegExp | undefined): (JSX.Element | string)[] {
  const parts: Part[] = hasSequences(line.raw) ? parseAnsi(line.raw) : [{ from: 0, text: line.text, style: {} }];
  const marks = search ? marksOf(line.text, search) : [];
  const out: (JSX.Element | string)[] = [];
  for (const part of parts) {
    const text = marks.length ? marked(part, marks) : [part.text];
    const { class: name, style } = lookOf(part.style);
    if (!name && !style) out.push(...text);
    else
      out.push(
        <span class={name} style={style}>
          {text}
        </span>,
      );
  }
  return out;
}

type Mark = [from: number, to: number];

function marksOf(text: string, search: RegExp): Mark[] {
  const marks: Mark[] = [];
  search.lastIndex = 0;
  for (const found of text.matchAll(search)) {
    if (found[0] === '') continue;
    marks.push([found.index, found.index + found[0].length]);
    if (marks.length === maxMarks) break;
  }
  return marks;
}

/** marked splits the text of a part where the search found something. */
function marked(part: Part, marks: Mark[]): (JSX.Element | string)[] {
  const out: (JSX.Element | string)[] = [];
  const end = part.from + part.text.length;
  let at = part.from;
  const cut = (from: number, to: number) => part.text.slice(from - part.from, to - part.from);
  for (const [from, to] of marks) {
    if (to <= at || from >= end) continue;
    const start = Math.max(from, at);
    const stop = Math.min(to, end);
    if (start > at) out.push(cut(at, start));
    out.push(<mark>{cut(start, stop)}</mark>);
    at = stop;
  }
  if (at < end) out.push(cut(at, end));
  return out;
}

/** lookOf turns a terminal's style into classes, and into colours of its own where the palette has none. */
function lookOf(style: Style): { class?: string; style?: JSX.CSSProperties } {
  const fg = style.inverse ? (style.bg ?? 'inverse') : style.fg;
  const bg = style.inverse ? (style.fg ?? 'inverse') : style.bg;
  const names: string[] = [];
  const own: JSX.CSSProperties = {};
  if (typeof fg === 'string' && fg.startsWith('#')) own.color = fg;
  else if (fg !== undefined) names.push(`ansi-fg-${fg}`);
  if (typeof bg === 'string' && bg.startsWith('#')) own.backgroundColor = bg;
  else if (bg !== undefined) names.push(`ansi-bg-${bg}`);
  for (const name of ['bold', 'dim', 'italic', 'underline'] as const) {
    if (style[name]) names.push(`ansi-${name}`);
  }
  return { class: names.join(' ') || undefined, style: own.color || own.backgroundColor ? own : undefined };
}
