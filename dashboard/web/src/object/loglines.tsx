import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type Display, LogRow } from './logrow';
import type { Line } from './logbuffer';
import { RowMap } from './rowmap';

interface Props {
  lines: Line[];
  /** version changes whenever lines does, which is changed in place. */
  version: number;
  /** gone is how many lines were taken from the start in all, so that what is read stays where it is. */
  gone: number;
  display: Display;
  nameWidth: number; // in characters
  follow: boolean;
  onFollow(follow: boolean): void;
  /** target is the line that the search is at; the list goes there when targetStep changes. */
  target: Line | undefined;
  targetStep: number;
}

const lineHeight = 18; // pixels, as in object.css
const overscan = 20; // rows above and below what is in sight
const timeWidth = 13; // characters, with the space after it
/** Nearer to the end than this, the list follows again. */
const nearEnd = 6; // pixels

/** LogLines shows those of many lines that are in sight, and keeps to the end while it follows. */
export function LogLines(props: Props) {
  const { lines, display, follow, onFollow } = props;
  const box = useRef<HTMLDivElement>(null);
  const { columns, height } = useSize(box);
  const map = useRowMap(props, columns);
  const { scroll, onScroll, pause } = useScroll(props, box, map, height);
  const top = follow ? Math.max(0, map.height - height) : scroll;
  const first = Math.max(0, map.at(top) - overscan);
  const last = Math.min(lines.length, map.at(top + height) + 1 + overscan);
  return (
    <div
      ref={box}
      class={`log-box${display.wrap ? ' log-wrap' : ''}`}
      role="log"
      aria-live="off"
      aria-label="Log lines"
      tabIndex={0}
      onScroll={onScroll}
      onWheel={(e) => e.deltaY < 0 && pause()}
      onMouseUp={() => hasSelection(box.current) && pause()}
      onKeyDown={(e) => {
        if (['ArrowUp', 'PageUp', 'Home'].includes(e.key)) pause();
        if (e.key === 'End') onFollow(true);
      }}
    >
      <div style={{ height: `${map.top(first)}px` }} />
      <div class="log-rows" style={{ '--log-name': `${props.nameWidth}ch` }}>
        {lines.slice(first, last).map((line) => (
          <LogRow key={line.seq} line={line} display={display} current={line === props.target} />
        ))}
      </div>
      <div style={{ height: `${Math.max(0, map.height - map.top(last))}px` }} />
    </div>
  );
}

/** useRowMap estimates how high each line is: of those that are wrapped, by their number of characters. */
function useRowMap({ lines, version, display, nameWidth }: Props, columns: number): RowMap {
  const map = useMemo(() => new RowMap(), []);
  const textColumns = Math.max(20, columns - 3 - (display.time ? timeWidth : 0) - (display.name ? nameWidth + 2 : 0));
  useMemo(() => {
    const fill = (i: number) => Math.max(1, Math.ceil(lines[i]!.text.length / textColumns));
    map.reset(lines.length, display.wrap ? fill : undefined, lineHeight);
  }, [lines, version, display.wrap, textColumns]);
  return map;
}

type Box = { current: HTMLDivElement | null };

/** useScroll keeps to the end, to what is being read, or goes to what the search has found. pause is for what looks further up. */
function useScroll(props: Props, box: Box, map: RowMap, height: number) {
  const { lines, follow, onFollow } = props;
  const [scroll, setScroll] = useState(0);
  const gone = useRef(props.gone);

  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    const removed = props.gone - gone.current;
    gone.current = props.gone;
    if (follow) el.scrollTop = el.scrollHeight;
    else if (removed > 0) el.scrollTop -= removed * lineHeight;
  });

  useLayoutEffect(() => {
    const el = box.current;
    const index = props.target ? lines.indexOf(props.target) : -1;
    if (!el || index < 0) return;
    const at = map.top(index);
    if (at < el.scrollTop || at > el.scrollTop + height - 3 * lineHeight) el.scrollTop = Math.max(0, at - height / 2);
    setScroll(el.scrollTop);
  }, [props.targetStep]);

  const onScroll = () => {
    const el = box.current!;
    const left = el.scrollHeight - el.scrollTop - el.clientHeight;
    if (follow && left > lineHeight * 2) onFollow(false);
    if (!follow && left <= nearEnd && el.scrollTop > scroll) onFollow(true);
    setScroll(el.scrollTop);
  };
  const pause = () => {
    const el = box.current!;
    if (!follow || el.scrollHeight <= el.clientHeight) return;
    setScroll(el.scrollTop);
    onFollow(false);
  };
  return { scroll, onScroll, pause };
}

/** useSize measures the box: how many characters fit beside each other, and its height. */
function useSize(box: Box): { columns: number; height: number } {
  const [size, setSize] = useState({ columns: 120, height: 600 });
  useEffect(() => {
    const el = box.current;
    if (!el) return;
    const measure = () => {
      const character = characterWidth(el);
      setSize({ columns: Math.floor(el.clientWidth / character), height: el.clientHeight });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(el);
    return () => observer.disconnect();
  }, []);
  return size;
}

function characterWidth(el: HTMLElement): number {
  const probe = document.createElement('span');
  probe.textContent = '0'.repeat(100);
  probe.style.position = 'absolute';
  probe.style.visibility = 'hidden';
  el.append(probe);
  const width = probe.getBoundingClientRect().width / 100;
  probe.remove();
  return width || 8;
}

function hasSelection(el: HTMLElement | null): boolean {
  const selection = document.getSelection();
  return !!selection && !selection.isCollapsed && !!el && el.contains(selection.anchorNode);
}
