// CPU, memory and traffic, asked for every few seconds while a component uses them and the page is visible.

import { useEffect, useState } from 'preact/hooks';
import { ApiError, get, session } from './api';
import { quantity } from './units';

export interface Sample {
  cpu: number; // cores
  memory: number; // bytes
  at: number; // milliseconds since 1970
}
export interface Traffic {
  rx: number; // bytes a second
  tx: number;
}

const interval = 5_000;
const history = 10 * 60_000;
/** Who may not read metrics, or has none, asks again after this long. */
const refusedInterval = 60_000;

/** Poller asks while it has users. Its value is another object after each answer. */
class Poller<T> {
  private users = new Set<() => void>();
  private timer = 0;
  private busy = false;

  constructor(
    public value: T,
    private ask: (last: T) => Promise<T>,
  ) {
    document.addEventListener('visibilitychange', () => this.wake());
  }

  use(listener: () => void): () => void {
    this.users.add(listener);
    this.wake();
    return () => {
      this.users.delete(listener);
      if (!this.users.size) clearTimeout(this.timer);
    };
  }

  private wake(): void {
    clearTimeout(this.timer);
    if (this.users.size && !document.hidden && !this.busy) void this.round();
  }

  private async round(): Promise<void> {
    this.busy = true;
    let wait = interval;
    try {
      this.value = await this.ask(this.value);
      for (const u of [...this.users]) u();
    } catch (e) {
      if (e instanceof ApiError && e.code >= 400) wait = refusedInterval;
    }
    this.busy = false;
    clearTimeout(this.timer);
    if (this.users.size && !document.hidden) this.timer = window.setTimeout(() => void this.round(), wait);
  }
}

function usePoller<T>(p: Poller<T>): T {
  const [, render] = useState(0);
  useEffect(() => p.use(() => render((n) => n + 1)), [p]);
  return p.value;
}

type Samples = Map<string, Sample[]>;
interface Usage {
  cpu: string;
  memory: string;
}
interface MetricsList {
  items: { metadata: { name: string; namespace?: string }; usage?: Usage; containers?: { usage: Usage }[] }[];
}

function samplesFrom(path: string): (last: Samples) => Promise<Samples> {
  return async (last) => {
    const list = await get<MetricsList>(path);
    const at = Date.now();
    const next: Samples = new Map();
    for (const m of list.items) {
      const usages = m.usage ? [m.usage] : (m.containers ?? []).map((c) => c.usage);
      const key = m.metadata.namespace ? `${m.metadata.namespace}/${m.metadata.name}` : m.metadata.name;
      const sample = { cpu: sum(usages, 'cpu'), memory: sum(usages, 'memory'), at };
      next.set(key, [...(last.get(key) ?? []).filter((s) => at - s.at < history), sample]);
    }
    return next;
  };
}

function sum(usages: Usage[], field: keyof Usage): number {
  return usages.reduce((n, u) => n + quantity(u[field]), 0);
}

interface Summary {
  pods?: { podRef: { name: string; namespace: string }; network?: { time: string; rxBytes?: number; txBytes?: number } }[];
}
interface Counter {
  at: number;
  rx: number;
  tx: number;
}

const counters = new Map<string, Counter>();

async function readTraffic(last: Map<string, Traffic>): Promise<Map<string, Traffic>> {
  const answers = await Promise.allSettled(session.nodes.map((n) => get<Summary>(`/api/v1/nodes/${n}/proxy/stats/summary`)));
  if (answers.length && answers.every((a) => a.status === 'rejected')) throw (answers[0] as PromiseRejectedResult).reason;
  const next = new Map<string, Traffic>();
  for (const a of answers) {
    for (const pod of (a.status === 'fulfilled' && a.value.pods) || []) {
      const key = `${pod.podRef.namespace}/${pod.podRef.name}`;
      const rate = pod.network && rateOf(key, pod.network, last.get(key));
      if (rate) next.set(key, rate);
    }
  }
  for (const key of counters.keys()) {
    if (!next.has(key) && !last.has(key) && Date.now() - counters.get(key)!.at > history) counters.delete(key);
  }
  return next;
}

function rateOf(key: string, n: { time: string; rxBytes?: number; txBytes?: number }, last?: Traffic): Traffic | undefined {
  const now: Counter = { at: Date.parse(n.time), rx: n.rxBytes ?? 0, tx: n.txBytes ?? 0 };
  const before = counters.get(key);
  if (before && now.at <= before.at) return last; // the kubelet has counted nothing new
  counters.set(key, now);
  if (!before) return undefined;
  const seconds = (now.at - before.at) / 1000;
  return { rx: Math.max(0, now.rx - before.rx) / seconds, tx: Math.max(0, now.tx - before.tx) / seconds };
}

const podMetrics = new Poller<Samples>(new Map(), samplesFrom('/apis/metrics.k8s.io/v1beta1/pods'));
const nodeMetrics = new Poller<Samples>(new Map(), samplesFrom('/apis/metrics.k8s.io/v1beta1/nodes'));
const traffic = new Poller<Map<string, Traffic>>(new Map(), readTraffic);

/** usePodMetrics returns the samples of the last ten minutes, oldest first, by "namespace/name". */
export function usePodMetrics(): Map<string, Sample[]> {
  return usePoller(podMetrics);
}

/** useNodeMetrics returns the samples of the last ten minutes, oldest first, by name. */
export function useNodeMetrics(): Map<string, Sample[]> {
  return usePoller(nodeMetrics);
}

/** useTraffic returns the rates of pods, by "namespace/name". */
export function useTraffic(): Map<string, Traffic> {
  return usePoller(traffic);
}
