// The streams behind a log view: one for each container, opened when the container runs and again when it was restarted.

import { get, stream } from '../api';
import type { KubeObject } from '../api';
import { type Line, type LogBuffer, type LogSource, maxLines } from './logbuffer';

/** How often what has arrived is handed on: often enough to look live, seldom enough for thousands of lines a second. */
const flushEvery = 100; // ms
/** How long the first lines of all containers are collected, so that they can be sorted by time. */
const settleTime = 600; // ms
const retryAfter = 2000; // ms
const tailLines = 500;
/** More containers at once than this are not followed. */
export const maxSources = 100;

interface ContainerStatus {
  name: string;
  containerID?: string;
  restartCount?: number;
  state?: { running?: object; terminated?: { reason?: string; exitCode: number; signal?: number }; waiting?: { reason?: string } };
  lastState?: { terminated?: object };
}

interface Tail {
  source: LogSource;
  run: string; // the containerID that was being read
  close?: () => void;
  retry?: number;
  last: string; // time of the last line
  reopened: boolean; // lines up to last are here already
}

export interface TailOptions {
  previous: boolean;
  onLines(lines: Line[]): void;
  onError(source: LogSource, message: string): void;
}

/** LogTail follows the containers that it is given by update, until it is closed. */
export class LogTail {
  private tails = new Map<string, Tail>();
  private pending: Line[] = [];
  private timer: number | undefined;
  private settled = false; // containers that come from now on have joined
  private started = Date.now();

  constructor(
    private buffer: LogBuffer,
    private options: TailOptions,
  ) {}

  /** update opens streams of containers that have begun to run. pods are those of the workload now. */
  update(sources: LogSource[], pods: Map<string, KubeObject>): void {
    const wanted = new Set<string>();
    for (const source of sources.slice(0, maxSources)) {
      wanted.add(source.key);
      const pod = pods.get(source.key.split('/')[0]!);
      if (pod) this.look(source, pod, sources.length);
    }
    const removed = new Set<string>();
    for (const [key, tail] of this.tails) {
      if (wanted.has(key)) continue;
      tail.close?.();
      window.clearTimeout(tail.retry);
      this.tails.delete(key);
      if (!removed.has(tail.source.pod)) this.push([this.buffer.note(tail.source, `${tail.source.pod} was removed`)]);
      removed.add(tail.source.pod);
    }
    this.settled = true;
  }

  private look(source: LogSource, pod: KubeObject, count: number): void {
    const status = statusOf(pod, source.container);
    if (!status) return;
    let tail = this.tails.get(source.key);
    if (!tail) {
      tail = { source, run: '', last: '', reopened: false };
      this.tails.set(source.key, tail);
      if (this.settled && !this.options.previous) this.push([this.buffer.note(source, `${source.pod} joined: container ${source.container}`)]);
    }
    if (this.options.previous) {
      if (!tail.run && (status.restartCount ?? 0) > 0) this.readPrevious(tail, count);
      return;
    }
    const run = status.containerID ?? '';
    const began = status.state?.running || status.state?.terminated;
    if (!began || !run || tail.close || tail.retry || tail.run === run) return;
    this.follow(tail, run, count);
  }

  private follow(tail: Tail, run: string, count: number): void {
    tail.run = run;
    tail.retry = undefined;
    tail.reopened = tail.last !== '';
    const since = tail.last ? `&sinceTime=${encodeURIComponent(tail.last)}` : `&tailLines=${tailOf(count)}`;
    const path = logPath(tail.source) + '&follow=true' + since;
    tail.close = stream(
      path,
      (lines) => this.take(tail, lines),
      (end) => {
        tail.close = undefined;
        this.ended(tail, end, count);
      },
    );
  }

  private ended(tail: Tail, end: { code: number; message: string }, count: number): void {
    if (end.code === 200) {
      void this.noteEnd(tail);
      return;
    }
    if (end.code === 404) return; // the pod is gone
    if (end.code !== 0) this.options.onError(tail.source, end.message);
    if (end.code === 403) return;
    const run = tail.run;
    tail.retry = window.setTimeout(() => this.follow(tail, run, count), retryAfter);
  }

  /** noteEnd says how a container ended whose log is over. The API may know a moment later than the log. */
  private async noteEnd(tail: Tail): Promise<void> {
    const { source } = tail;
    const run = tail.run;
    try {
      const pod = await get<KubeObject>(`/api/v1/namespaces/${source.namespace}/pods/${source.pod}`);
      if (!this.tails.has(source.key)) return;
      const status = statusOf(pod, source.container);
      const ended = status?.containerID === run ? status.state?.terminated : undefined;
      if (status?.containerID === run && !ended) {
        // The connection ended, not the container.
        tail.retry = window.setTimeout(() => this.follow(tail, run, 1), retryAfter);
        return;
      }
      const how = ended ? ` with ${exitOf(ended)}` : '';
      this.push([this.buffer.note(source, `${source.pod}: container ${source.container} ended${how}`)]);
      if (status && status.containerID !== run) this.look(source, pod, 1);
    } catch {
      // The pod is gone: update says so.
    }
  }

  private readPrevious(tail: Tail, count: number): void {
    tail.run = 'previous';
    tail.close = stream(
      logPath(tail.source) + `&previous=true&tailLines=${tailOf(count)}`,
      (lines) => this.take(tail, lines),
      (end) => {
        tail.close = undefined;
        if (end.code !== 200) this.options.onError(tail.source, end.message);
      },
    );
  }

  private take(tail: Tail, lines: string[]): void {
    const batch: Line[] = [];
    for (const text of lines) {
      const line = this.buffer.parse(tail.source, text);
      if (line.time) {
        // A stream that was opened again begins at a whole second, with lines that are here already.
        if (tail.last && line.time <= tail.last && tail.reopened) continue;
        if (line.time > tail.last) tail.last = line.time;
      }
      batch.push(line);
    }
    this.push(batch);
  }

  private push(batch: Line[]): void {
    for (const line of batch) this.pending.push(line);
    if (this.timer !== undefined) return;
    const wait = Math.max(flushEvery, this.started + settleTime - Date.now());
    this.timer = window.setTimeout(() => this.flush(), wait);
  }

  private flush(): void {
    this.timer = undefined;
    const batch = this.pending;
    this.pending = [];
    this.options.onLines(sortByTime(batch).slice(-maxLines));
  }

  close(): void {
    window.clearTimeout(this.timer);
    for (const tail of this.tails.values()) {
      tail.close?.();
      window.clearTimeout(tail.retry);
    }
    this.tails.clear();
  }
}

/** sortByTime merges lines of several containers; those of one stay in their order, and notes after what was before them. */
function sortByTime(batch: Line[]): Line[] {
  let last = '';
  const keys = new Map<Line, string>();
  for (const line of batch) {
    if (line.time) last = line.time;
    keys.set(line, line.time || last);
  }
  return batch.sort((a, b) => {
    const x = keys.get(a)!;
    const y = keys.get(b)!;
    return x < y ? -1 : x > y ? 1 : 0;
  });
}

function logPath(source: LogSource): string {
  return `/api/v1/namespaces/${source.namespace}/pods/${source.pod}/log?container=${source.container}&timestamps=true`;
}

/** tailOf is how many lines are read at first, so that those of all containers are not more than are kept. */
function tailOf(count: number): number {
  return Math.max(20, Math.min(tailLines, Math.floor(maxLines / Math.max(1, count))));
}

export function statusOf(pod: KubeObject, container: string): ContainerStatus | undefined {
  const status = pod.status ?? {};
  const all: ContainerStatus[] = [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ];
  return all.find((s) => s.name === container);
}

function exitOf(t: { reason?: string; exitCode: number; signal?: number }): string {
  const reason = t.reason && t.reason !== 'Completed' && t.reason !== 'Error' ? ` (${t.reason})` : '';
  return t.signal ? `signal ${t.signal}${reason}` : `exit code ${t.exitCode}${reason}`;
}
