// The status column of `kubectl get pods`, from the states of the pod's containers.

import type { KubeObject } from './api';
import type { Verdict } from './health';

interface ContainerState {
  waiting?: { reason?: string; message?: string };
  running?: unknown;
  terminated?: { reason?: string; message?: string; exitCode: number; signal?: number };
}
export interface ContainerStatus {
  name: string;
  ready: boolean;
  started?: boolean;
  restartCount: number;
  state?: ContainerState;
  lastState?: ContainerState;
}

const startingReasons = ['ContainerCreating', 'PodInitializing', 'Pending', 'Pulling'];

export function podHealth(pod: KubeObject): Verdict {
  const s = pod.status ?? {};
  if (pod.metadata.deletionTimestamp) {
    return s.reason === 'NodeLost' ? { health: 'failed', text: 'Unknown', why: s.message } : { health: 'progressing', text: 'Terminating' };
  }
  if (s.phase === 'Succeeded') return { health: 'idle', text: 'Completed' };
  if (s.phase === 'Failed') return failedPod(pod);
  return unschedulable(pod) ?? gated(pod) ?? initHealth(pod) ?? containersHealth(pod);
}

function failedPod(pod: KubeObject): Verdict {
  const ended = statusesOf(pod).map((c) => c.state?.terminated).find((t) => t && t.exitCode !== 0);
  return { health: 'failed', text: pod.status.reason ?? exitText(ended) ?? 'Error', why: pod.status.message ?? ended?.message };
}

function unschedulable(pod: KubeObject): Verdict | undefined {
  const c = condition(pod, 'PodScheduled');
  if (c?.status !== 'False' || c.reason !== 'Unschedulable') return undefined;
  return { health: 'failed', text: 'Pending', why: c.message ?? 'No node can run it' };
}

function gated(pod: KubeObject): Verdict | undefined {
  return condition(pod, 'PodScheduled')?.reason === 'SchedulingGated' ? { health: 'idle', text: 'SchedulingGated' } : undefined;
}

function condition(pod: KubeObject, type: string): { status: string; reason?: string; message?: string } | undefined {
  return pod.status?.conditions?.find((c: { type: string }) => c.type === type);
}

function statusesOf(pod: KubeObject): ContainerStatus[] {
  return pod.status?.containerStatuses ?? [];
}

/** initHealth speaks until the init containers are through; those that restart always (sidecars) are through once started. */
function initHealth(pod: KubeObject): Verdict | undefined {
  const statuses: ContainerStatus[] = pod.status?.initContainerStatuses ?? [];
  const specs: { name: string; restartPolicy?: string }[] = pod.spec?.initContainers ?? [];
  for (const [i, c] of statuses.entries()) {
    if (c.state?.terminated?.exitCode === 0) continue;
    if (c.started && specs.find((s) => s.name === c.name)?.restartPolicy === 'Always') continue;
    const ended = exitText(c.state?.terminated);
    if (ended) return { health: 'failed', text: 'Init:' + ended, why: explain(c) };
    const waiting = c.state?.waiting;
    if (waiting?.reason && waiting.reason !== 'PodInitializing') return { health: 'failed', text: 'Init:' + waiting.reason, why: explain(c) };
    return { health: 'progressing', text: `Init:${i}/${specs.length}` };
  }
  return undefined;
}

function containersHealth(pod: KubeObject): Verdict {
  const statuses = statusesOf(pod);
  const total: number = pod.spec?.containers?.length ?? statuses.length;
  const ready = statuses.filter((c) => c.ready).length;
  for (const c of statuses) {
    const reason = c.state?.waiting?.reason;
    if (reason) return { health: startingReasons.includes(reason) ? 'progressing' : 'failed', text: reason, why: explain(c) };
    const t = c.state?.terminated;
    if (t) return { health: t.exitCode === 0 ? 'progressing' : 'failed', text: exitText(t) ?? 'Completed', why: explain(c) };
  }
  if (!statuses.length || pod.status?.phase === 'Pending') return { health: 'progressing', text: 'Pending' };
  if (ready < total) return { health: 'progressing', text: `${ready}/${total} ready`, why: condition(pod, 'ContainersReady')?.message };
  if (condition(pod, 'Ready')?.status === 'False') return { health: 'progressing', text: 'Not ready', why: condition(pod, 'Ready')?.message };
  return { health: 'ok', text: 'Running' };
}

function exitText(t: ContainerState['terminated']): string | undefined {
  if (!t || t.exitCode === 0) return undefined;
  return t.reason || (t.signal ? `Signal:${t.signal}` : `ExitCode:${t.exitCode}`);
}

/** explain is the message of what the container waits for, with how it ended before if it restarts. */
function explain(c: ContainerStatus): string | undefined {
  const last = c.lastState?.terminated;
  const waiting = c.state?.waiting;
  if (waiting?.reason === 'CrashLoopBackOff' && last) {
    return `Container ${c.name} ended ${c.restartCount} times, last with exit code ${last.exitCode}${last.reason && last.reason !== 'Error' ? ` (${last.reason})` : ''}`;
  }
  return waiting?.message ?? c.state?.terminated?.message;
}

export function restartsOf(pod: KubeObject): number {
  return statusesOf(pod).reduce((n, c) => n + c.restartCount, 0);
}

/** readyOf is kubectl's READY column. */
export function readyOf(pod: KubeObject): string {
  const statuses = statusesOf(pod);
  return `${statuses.filter((c) => c.ready).length}/${pod.spec?.containers?.length ?? statuses.length}`;
}
