// A curve over time, small enough to stand beside a word.

import { useState } from 'preact/hooks';
import { ageOf } from './units';

export interface Point {
  at: number; // milliseconds since 1970
  value: number;
}

interface CurveProps {
  points: Point[];
  format: (value: number) => string;
  label: string; // what it is the curve of
  limit?: number; // drawn as a line: what the object may have
  small?: boolean; // a sparkline without text
}

const width = 300;
const height = 60;

/** Curve shows the points with the latest value; the pointer reads others. */
export function Curve({ points, format, label, limit, small }: CurveProps) {
  const [hovered, setHovered] = useState<number>();
  const last = points[points.length - 1];
  const highest = points.reduce((n, p) => Math.max(n, p.value), 0);
  const top = Math.max(highest * 1.15, limit === undefined ? 0 : highest > limit / 3 ? limit * 1.05 : limit / 4, 1e-9);
  const xy = place(points, top);
  const said = last ? `${label}: now ${format(last.value)}, at most ${format(highest)}` : `${label}: no data yet`;
  const at = hovered === undefined ? undefined : points[hovered];
  const onPointerMove = (e: PointerEvent) => {
    const box = (e.currentTarget as Element).getBoundingClientRect();
    setHovered(nearest(xy, ((e.clientX - box.left) / box.width) * width));
  };
  return (
    <figure class={small ? 'curve small' : 'curve'}>
      {!small && (
        <figcaption>
          <span>{label}</span>
          <b>{at ? format(at.value) : last ? format(last.value) : '–'}</b>
          <span class="faint">{at ? `${ageOf(new Date(at.at).toISOString())} ago` : limit !== undefined ? `of ${format(limit)}` : ''}</span>
        </figcaption>
      )}
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={said} onPointerMove={onPointerMove} onPointerLeave={() => setHovered(undefined)}>
        {xy.length > 1 && <path class="area" d={`${line(xy)}L${xy[xy.length - 1]![0]},${height}L${xy[0]![0]},${height}Z`} />}
        {limit !== undefined && limit <= top && <path class="limit" d={`M0,${y(limit, top)}H${width}`} />}
        {xy.length > 1 && <path class="line" d={line(xy)} />}
        {hovered !== undefined && xy[hovered] && <path class="cursor" d={`M${xy[hovered]![0]},0V${height}`} />}
      </svg>
    </figure>
  );
}

function y(value: number, top: number): number {
  return height - 1 - (value / top) * (height - 2);
}

/** place spreads the points over the width by their time; less than a minute does not fill it. */
function place(points: Point[], top: number): [x: number, y: number][] {
  const end = points[points.length - 1]?.at ?? 0;
  const span = Math.max(end - (points[0]?.at ?? 0), 60_000);
  return points.map((p) => [round(width - ((end - p.at) / span) * width), round(y(p.value, top))]);
}

function round(n: number): number {
  return Math.round(n * 10) / 10;
}

function line(xy: [number, number][]): string {
  return 'M' + xy.map((p) => p.join(',')).join('L');
}

function nearest(xy: [number, number][], x: number): number | undefined {
  let best: number | undefined;
  for (const [i, p] of xy.entries()) {
    if (best === undefined || Math.abs(p[0] - x) < Math.abs(xy[best]![0] - x)) best = i;
  }
  return best;
}
