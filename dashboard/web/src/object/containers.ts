// The containers of a pod, with what their state means.

import type { KubeObject } from '../api';
import type { Health } from '../health';

export interface Container {
  name: string;
  type: 'container' | 'init container' | 'sidecar' | 'debug container';
  image: string;
  ports: { name?: string; containerPort: number; protocol?: string }[];
  restarts: number;
  health: Health;
  text: string; // Running, CrashLoopBackOff, Completed, ...
  running: boolean;
  /** last says how it ended the last time, if it was restarted. */
  last: string;
}

interface Spec {
  name: string;
  image?: string;
  restartPolicy?: string;
  ports?: Container['ports'];
}

interface Terminated {
  reason?: string;
  exitCode: number;
  signal?: number;
  finishedAt?: string;
}

interface Status {
  name: string;
  ready?: boolean;
  restartCount?: number;
  state?: { running?: { startedAt?: string }; waiting?: { reason?: string }; terminated?: Terminated };
  lastState?: { terminated?: Terminated };
}

/** containersOf lists init containers first, as they run. */
export function containersOf(pod: KubeObject): Container[] {
  const { spec = {}, status = {} } = pod;
  const make = (type: Container['type'], statuses: Status[] | undefined) => (c: Spec) => {
    const own = type === 'init container' && c.restartPolicy === 'Always' ? 'sidecar' : type;
    return containerOf(
      own,
      c,
      (statuses ?? []).find((s) => s.name === c.name),
    );
  };
  return [
    ...((spec.initContainers ?? []) as Spec[]).map(make('init container', status.initContainerStatuses)),
    ...((spec.containers ?? []) as Spec[]).map(make('container', status.containerStatuses)),
    ...((spec.ephemeralContainers ?? []) as Spec[]).map(make('debug container', status.ephemeralContainerStatuses)),
  ];
}

function containerOf(type: Container['type'], spec: Spec, status: Status | undefined): Container {
  const last = status?.lastState?.terminated;
  return {
    name: spec.name,
    type,
    image: spec.image ?? '',
    ports: spec.ports ?? [],
    restarts: status?.restartCount ?? 0,
    running: !!status?.state?.running,
    last: last ? `${last.reason ?? 'ended'}, ${codeOf(last)}` : '',
    ...stateOf(type, status),
  };
}

/** Reasons to wait for which a container is not expected to start by itself. */
const failing = /BackOff|^Err|Error$|InvalidImageName|ImageNeverPull|RegistryUnavailable/;

function stateOf(type: Container['type'], status: Status | undefined): { health: Health; text: string } {
  const state = status?.state;
  if (state?.running) {
    if (type === 'init container') return { health: 'progressing', text: 'Running' };
    if (type === 'debug container' || status?.ready) return { health: 'ok', text: 'Running' };
    return { health: 'progressing', text: 'Running, not ready' };
  }
  if (state?.terminated) {
    const { exitCode, reason } = state.terminated;
    if (exitCode === 0) return { health: type === 'container' ? 'idle' : 'ok', text: reason ?? 'Completed' };
    return { health: 'failed', text: `${reason ?? 'Error'}, ${codeOf(state.terminated)}` };
  }
  const reason = state?.waiting?.reason ?? 'Waiting';
  return { health: failing.test(reason) ? 'failed' : 'progressing', text: reason };
}

function codeOf(t: Terminated): string {
  return t.signal ? `signal ${t.signal}` : `exit code ${t.exitCode}`;
}
