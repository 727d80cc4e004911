import { Component } from 'preact';
import type { KubeObject } from '../api';
import { type Health, healthOf } from '../health';
import { hrefOfObject } from '../router';

/** More pods of one workload than this are a number. */
const maxSquares = 200;

interface SquaresProps {
  pods: KubeObject[];
  more: string; // where the other pods are
  label: string;
}

/** Squares are the pods of a workload, one each. They are drawn again only when one of them has changed. */
export class Squares extends Component<SquaresProps> {
  override shouldComponentUpdate(next: SquaresProps): boolean {
    return next.pods.length !== this.props.pods.length || next.label !== this.props.label || next.pods.some((p, i) => p !== this.props.pods[i]);
  }

  override render() {
    const { pods, more, label } = this.props;
    const shown = pods.length > maxSquares ? failedFirst(pods).slice(0, maxSquares) : pods;
    return (
      <div class="squares" role="group" aria-label={`${label}: ${summaryOf(pods)}`} onKeyDown={moveWithArrows}>
        {shown.map((p, i) => (
          <Square key={p.metadata.uid} pod={p} stop={i === 0} />
        ))}
        {pods.length > shown.length && (
          <a class="more" href={more}>
            +{pods.length - shown.length}
          </a>
        )}
      </div>
    );
  }
}

function Square({ pod, stop }: { pod: KubeObject; stop: boolean }) {
  const { health, text, why } = healthOf(pod);
  const said = `${pod.metadata.name}: ${text}`;
  return <a class={`square ${health}`} href={hrefOfObject(pod)} title={why ? `${said}\n${why}` : said} aria-label={said} tabIndex={stop ? 0 : -1} />;
}

function failedFirst(pods: KubeObject[]): KubeObject[] {
  const rank: Record<Health, number> = { failed: 0, progressing: 1, ok: 2, idle: 3 };
  return [...pods].sort((a, b) => rank[healthOf(a).health] - rank[healthOf(b).health]);
}

const words: [Health, string][] = [
  ['failed', 'failed'],
  ['progressing', 'not ready'],
  ['ok', 'ready'],
  ['idle', 'ended'],
];

/** summaryOf counts pods: "2 failed, 10 ready". */
export function summaryOf(pods: KubeObject[]): string {
  const counts = new Map<Health, number>();
  for (const p of pods) counts.set(healthOf(p).health, (counts.get(healthOf(p).health) ?? 0) + 1);
  return words.flatMap(([h, word]) => (counts.get(h) ? [`${counts.get(h)} ${word}`] : [])).join(', ') || 'no pods';
}

/** The squares are one stop of the Tab key; arrows move within. */
function moveWithArrows(e: KeyboardEvent): void {
  const step = ['ArrowRight', 'ArrowDown'].includes(e.key) ? 1 : ['ArrowLeft', 'ArrowUp'].includes(e.key) ? -1 : 0;
  if (!step) return;
  const all = [...(e.currentTarget as HTMLElement).querySelectorAll('a')];
  all[all.indexOf(document.activeElement as HTMLAnchorElement) + step]?.focus();
  e.preventDefault();
}
