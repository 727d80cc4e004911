import { Component } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { KubeObject } from '../api';
import { isTyping } from '../keys';
import { hrefOfObject } from '../router';
import type { Column, Context } from './column';

export interface Order {
  column: string; // its title
  descending: boolean;
}

interface TableProps {
  label: string;
  columns: Column[];
  rows: KubeObject[];
  context: Context;
  order: Order;
  onOrder: (o: Order) => void;
}

/** The height of a row in the style sheet, in pixels. */
const rowHeight = 30;
/** Rows that are made above and below those that can be seen. */
const margin = 12;
/** Between columns, and the least for names, in characters. */
const gap = 1.5;
const minName = 26;

/** Table makes only the rows that can be seen. The keys j, k and Enter go through it. */
export function Table({ label, columns, rows, context, order, onOrder }: TableProps) {
  const frame = useRef<HTMLDivElement>(null);
  const [first, last] = useWindow(frame, rows.length);
  const [selected, setSelected] = useSelection(frame, rows);
  return (
    <div class="table-frame" ref={frame} tabIndex={0} role="region" aria-label={label}>
      <table class="list" style={{ minWidth: `${columns.reduce((n, c) => n + (c.width ? c.width + gap : minName), 0)}ch` }} aria-rowcount={rows.length + 1} aria-label={label}>
        <colgroup>
          {columns.map((c) => (
            <col key={c.title} style={{ width: c.width ? `${c.width + gap}ch` : undefined }} />
          ))}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((c) => (
              <Head key={c.title} column={c} order={order} onOrder={onOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          <Space rows={first} span={columns.length} />
          {rows.slice(first, last).map((o, i) => (
            <Row
              key={o.metadata.uid}
              object={o}
              columns={columns}
              index={first + i}
              selected={o.metadata.uid === selected}
              sample={context.metrics}
              context={context}
              onSelect={setSelected}
            />
          ))}
          <Space rows={rows.length - last} span={columns.length} />
        </tbody>
      </table>
    </div>
  );
}

function Space({ rows, span }: { rows: number; span: number }) {
  if (rows <= 0) return null;
  return (
    <tr class="space" aria-hidden="true">
      <td colSpan={span} style={{ height: rows * rowHeight }} />
    </tr>
  );
}

function Head({ column, order, onOrder }: { column: Column; order: Order; onOrder: (o: Order) => void }) {
  const sorted = order.column === column.title;
  const sort = sorted ? (order.descending ? 'descending' : 'ascending') : undefined;
  return (
    <th scope="col" class={column.number ? 'number' : undefined} aria-sort={sort}>
      <button type="button" class="sort" onClick={() => onOrder({ column: column.title, descending: sorted && !order.descending })}>
        {column.title}
        <svg viewBox="0 0 8 8" width="8" height="8" aria-hidden="true" class={sort}>
          <path d="M1 5.5l3-3 3 3" />
        </svg>
      </button>
    </th>
  );
}

interface RowProps {
  object: KubeObject;
  columns: Column[];
  index: number; // from 0
  selected: boolean;
  sample: unknown; // another one when there are other metrics
  context: Context;
  onSelect: (uid: string) => void;
}

class Row extends Component<RowProps> {
  override shouldComponentUpdate(next: RowProps): boolean {
    const p = this.props;
    return next.object !== p.object || next.columns !== p.columns || next.index !== p.index || next.selected !== p.selected || next.sample !== p.sample;
  }

  override render() {
    const { object, columns, index, selected, context, onSelect } = this.props;
    const href = hrefOfObject(object);
    const open = (e: MouseEvent) => {
      if ((e.target as Element).closest('a, button') || getSelection()?.toString()) return;
      onSelect(object.metadata.uid);
      if (e.ctrlKey || e.metaKey) window.open(href, '_blank', 'noopener');
      else location.hash = href;
    };
    return (
      <tr class={selected ? 'selected' : undefined} aria-rowindex={index + 2} aria-current={selected ? 'true' : undefined} onClick={open}>
        {columns.map((c, i) => (i === 0 ? this.head(href) : <td key={c.title} class={classOf(c)} title={titleOf(c, object, context)}>{cell(c, object, context)}</td>))}
      </tr>
    );
  }

  private head(href: string) {
    const { name } = this.props.object.metadata;
    return (
      <th scope="row" key="name" title={name}>
        <a href={href}>{name}</a>
      </th>
    );
  }
}

function classOf(c: Column): string | undefined {
  return [c.number && 'number', c.code && 'mono'].filter(Boolean).join(' ') || undefined;
}

function cell(c: Column, o: KubeObject, context: Context) {
  return c.show ? c.show(o, context) : c.value(o, context);
}

function titleOf(c: Column, o: KubeObject, context: Context): string | undefined {
  const value = c.show ? undefined : c.value(o, context);
  return typeof value === 'string' && value.length > c.width ? value : undefined;
}

/** useWindow returns which rows can be seen: first, and one past the last. */
function useWindow(frame: { current: HTMLDivElement | null }, count: number): [first: number, last: number] {
  const [view, setView] = useState({ top: 0, height: 1200 });
  useLayoutEffect(() => {
    const element = frame.current!;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener('scroll', measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', measure);
    };
  }, []);
  const first = Math.max(0, Math.min(Math.floor(view.top / rowHeight) - margin, count - 1));
  return [first, Math.min(count, Math.ceil((view.top + view.height) / rowHeight) + margin)];
}

/** useSelection is the row that the keys are at. */
function useSelection(frame: { current: HTMLDivElement | null }, rows: KubeObject[]): [string | undefined, (uid: string) => void] {
  const [selected, setSelected] = useState<string>();
  const latest = useRef({ rows, selected });
  latest.current = { rows, selected };
  useEffect(() => {
    const onKeyDown = (e: KeyboardEvent) => {
      if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || isTyping(e) || document.querySelector('dialog[open]')) return;
      const { rows: all, selected: uid } = latest.current;
      const at = all.findIndex((o) => o.metadata.uid === uid);
      const step = e.key === 'j' ? 1 : e.key === 'k' ? -1 : 0;
      if (step && all.length) {
        const next = Math.max(0, Math.min(all.length - 1, at + step));
        setSelected(all[next]!.metadata.uid);
        reveal(frame.current!, next);
      } else if (e.key === 'Enter' && at >= 0 && !(e.target as Element).closest('a, button, summary')) location.hash = hrefOfObject(all[at]!);
      else return;
      e.preventDefault();
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, []);
  return [selected, setSelected];
}

function reveal(frame: HTMLElement, index: number): void {
  const head = frame.querySelector('thead')?.clientHeight ?? rowHeight;
  const top = index * rowHeight;
  if (top < frame.scrollTop) frame.scrollTop = top;
  else if (top + rowHeight + head > frame.scrollTop + frame.clientHeight) frame.scrollTop = top + rowHeight + head - frame.clientHeight;
}
