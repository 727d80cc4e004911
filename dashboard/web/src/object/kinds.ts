// Which kinds can do what.

import type { KubeObject } from '../api';

const workloads = ['Pod', 'Deployment', 'ReplicaSet', 'ReplicationController', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob'];

/** runsPods says whether an object of this kind has logs and terminals: those of its pods. */
export function runsPods(kind: string): boolean {
  return workloads.includes(kind) || kind === 'Service';
}

/** hasMetrics says whether CPU and memory are shown. */
export function hasMetrics(kind: string): boolean {
  return workloads.includes(kind) || kind === 'Node';
}

interface Template {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec?: any;
}

/** templateOf is the pod template of a workload, or the pod itself. */
export function templateOf(o: KubeObject): Template | undefined {
  if (o.kind === 'Pod') return o;
  if (o.kind === 'CronJob') return o.spec?.jobTemplate?.spec?.template;
  return o.spec?.template;
}
