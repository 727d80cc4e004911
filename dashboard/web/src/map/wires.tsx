import type { RefObject } from 'preact';
import { useLayoutEffect, useState } from 'preact/hooks';
import { rateText } from '../units';
import type { Band } from './model';

/** Box is where a card is in its band; pods is where the squares beside it begin. In pixels. */
interface Box {
  left: number;
  right: number;
  middle: number;
  pods?: number;
}

interface WiresProps {
  frame: RefObject<HTMLDivElement>;
  band: Band;
  rates: number[]; // bytes a second of the band's workloads
  lit: Set<string> | undefined;
}

/** Wires are the curves between the cards of a band. */
export function Wires({ frame, band, rates, lit }: WiresProps) {
  const boxes = useBoxes(frame, [band.entries.map((e) => e.id), band.services.map((s) => s.id), band.workloads.map((w) => w.id)].join());
  const rateOf = new Map(band.workloads.map((w, i) => [w.id, rates[i] ?? 0]));
  return (
    <svg class="wires" aria-hidden="true">
      {band.edges.map((e) => {
        const [a, b] = [boxes.get(e.from), boxes.get(e.to)];
        const rate = e.pods?.length ? (rateOf.get(e.to) ?? 0) : 0;
        const state = lit && (lit.has(e.from) && lit.has(e.to) ? 'lit' : 'dim');
        return a && b && <Wire key={`${e.from} ${e.to}`} d={curve(a, b)} rate={rate} class={e.broken ? `broken ${state ?? ''}` : state} />;
      })}
      {band.workloads.map((w) => {
        const a = boxes.get(w.id);
        if (a?.pods === undefined || !w.pods.length) return null;
        const rate = rateOf.get(w.id) ?? 0;
        return <Wire key={w.id} d={`M${a.right},${a.middle}H${a.pods - 6}`} rate={rate} class={lit && (lit.has(w.id) ? 'lit' : 'dim')} label={{ x: (a.right + a.pods) / 2, y: a.middle - 4 - widthOf(rate) / 2 }} />;
      })}
    </svg>
  );
}

function Wire({ d, rate, class: extra, label }: { d: string; rate: number; class?: string; label?: { x: number; y: number } }) {
  return (
    <g class={['wire', rate > 0 && 'busy', extra].filter(Boolean).join(' ')}>
      <path d={d} style={{ strokeWidth: widthOf(rate) }} />
      {label && rate > 0 && (
        <text x={label.x} y={label.y}>
          {rateText(rate)}
        </text>
      )}
    </g>
  );
}

/**
 * useBoxes measures the cards when the band has other cards, and when one has another size. The observer calls after the browser has
 * laid out the page, so that measuring costs nothing, and not before the band comes into sight.
 */
function useBoxes(frame: RefObject<HTMLDivElement>, cards: string): Map<string, Box> {
  const [boxes, setBoxes] = useState<Map<string, Box>>(new Map());
  useLayoutEffect(() => {
    const element = frame.current!;
    const observer = new ResizeObserver(() => {
      if (element.querySelector('.card')?.checkVisibility({ contentVisibilityAuto: true })) setBoxes(measure(element));
    });
    observer.observe(element);
    for (const card of element.querySelectorAll('.card, .pods')) observer.observe(card);
    return () => observer.disconnect();
  }, [cards]);
  return boxes;
}

function measure(frame: HTMLElement): Map<string, Box> {
  const boxes = new Map<string, Box>();
  for (const c of frame.querySelectorAll<HTMLElement>('.card')) {
    const pods = c.nextElementSibling;
    boxes.set(c.dataset.id!, {
      left: c.offsetLeft,
      right: c.offsetLeft + c.offsetWidth,
      middle: Math.round(c.offsetTop + c.offsetHeight / 2),
      pods: pods instanceof HTMLElement && pods.classList.contains('pods') ? pods.offsetLeft : undefined,
    });
  }
  return boxes;
}

/** widthOf grows by one and a half for ten times the traffic. */
function widthOf(rate: number): number {
  return rate > 0 ? Math.min(8, 1.5 + 1.5 * Math.log10(1 + rate / 1024)) : 1.25;
}

function curve(a: Box, b: Box): string {
  const bend = (b.left - a.right) / 2;
  return `M${a.right},${a.middle}C${a.right + bend},${a.middle} ${b.left - bend},${b.middle} ${b.left},${b.middle}`;
}
