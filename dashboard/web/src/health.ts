// What the state of an object is called, as `kubectl get` calls it, and whether that is well.

import type { KubeObject } from './api';
import { podHealth } from './podhealth';

export type Health = 'ok' | 'progressing' | 'failed' | 'idle';

export interface Verdict {
  health: Health;
  text: string; // short: Running, 2/3 ready, ImagePullBackOff
  why?: string; // a sentence of the API's own, where it has one
}

interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
}

const cache = new WeakMap<KubeObject, Verdict>();

/** healthOf judges an object by itself: nothing else is looked at. */
export function healthOf(o: KubeObject): Verdict {
  let v = cache.get(o);
  if (!v) {
    v = judge(o);
    cache.set(o, v);
  }
  return v;
}

export function conditionOf(o: KubeObject, type: string): Condition | undefined {
  return (o.status?.conditions as Condition[] | undefined)?.find((c) => c.type === type);
}

const judges: Record<string, (o: KubeObject) => Verdict> = {
  Pod: podHealth,
  Deployment: deploymentHealth,
  StatefulSet: (o) => replicasHealth(o, o.spec?.replicas ?? 1, o.status?.readyReplicas ?? 0, o.status?.updatedReplicas),
  ReplicaSet: (o) => replicasHealth(o, o.spec?.replicas ?? 1, o.status?.readyReplicas ?? 0),
  ReplicationController: (o) => replicasHealth(o, o.spec?.replicas ?? 1, o.status?.readyReplicas ?? 0),
  DaemonSet: (o) => replicasHealth(o, o.status?.desiredNumberScheduled ?? 0, o.status?.numberReady ?? 0, o.status?.updatedNumberScheduled),
  Job: jobHealth,
  CronJob: cronJobHealth,
  Node: nodeHealth,
  Namespace: (o) => phase(o, { Active: 'ok', Terminating: 'progressing' }),
  PersistentVolumeClaim: (o) => phase(o, { Bound: 'ok', Pending: 'progressing', Lost: 'failed' }),
  PersistentVolume: (o) => phase(o, { Bound: 'ok', Available: 'idle', Released: 'idle', Pending: 'progressing', Failed: 'failed' }),
  Service: serviceHealth,
  Ingress: ingressHealth,
  HTTPRoute: routeHealth,
  GRPCRoute: routeHealth,
  TLSRoute: routeHealth,
  TCPRoute: routeHealth,
  UDPRoute: routeHealth,
  HorizontalPodAutoscaler: autoscalerHealth,
  PodDisruptionBudget: budgetHealth,
  CustomResourceDefinition: (o) => byCondition(o, 'Established', 'Established', 'Not established'),
  APIService: (o) => byCondition(o, 'Available', 'Available', 'Not available'),
  Gateway: (o) => byCondition(o, 'Programmed', 'Programmed', 'Not programmed'),
  Event: (o) => ({ health: o.type === 'Warning' ? 'failed' : 'idle', text: o.reason ?? o.type ?? '' }),
};

function judge(o: KubeObject): Verdict {
  if (o.metadata.deletionTimestamp && o.kind !== 'Pod') return { health: 'progressing', text: 'Terminating' };
  return (judges[o.kind] ?? anyHealth)(o);
}

function phase(o: KubeObject, healths: Record<string, Health>): Verdict {
  const text: string = o.status?.phase ?? 'Unknown';
  return { health: healths[text] ?? 'progressing', text };
}

function byCondition(o: KubeObject, type: string, well: string, unwell: string): Verdict {
  const c = conditionOf(o, type);
  if (c?.status === 'True') return { health: 'ok', text: well };
  return { health: c?.status === 'False' ? 'failed' : 'progressing', text: c?.reason || unwell, why: c?.message };
}

/** anyHealth judges kinds that nobody knows by the conditions that most of them have. */
function anyHealth(o: KubeObject): Verdict {
  const c = ['Ready', 'Available', 'Synced', 'Accepted', 'Complete'].map((t) => conditionOf(o, t)).find((found) => found);
  if (c) return byCondition(o, c.type, c.type, `Not ${c.type.toLowerCase()}`);
  const text = o.status?.phase ?? o.status?.state;
  return typeof text === 'string' ? { health: /fail|error/i.test(text) ? 'failed' : 'idle', text } : { health: 'idle', text: '' };
}

function deploymentHealth(o: KubeObject): Verdict {
  if (o.spec?.paused && !conditionOf(o, 'ReplicaFailure')) {
    return { health: 'idle', text: `Paused, ${o.status?.readyReplicas ?? 0}/${o.spec?.replicas ?? 1} ready` };
  }
  return replicasHealth(o, o.spec?.replicas ?? 1, o.status?.readyReplicas ?? 0, o.status?.updatedReplicas);
}

function replicasHealth(o: KubeObject, want: number, ready: number, updated?: number): Verdict {
  const refused = conditionOf(o, 'ReplicaFailure');
  const stuck = conditionOf(o, 'Progressing');
  const text = `${ready}/${want} ready`;
  if (refused?.status === 'True') return { health: 'failed', text: refused.reason ?? text, why: refused.message };
  if (stuck?.status === 'False' && ready < want) return { health: 'failed', text: `${text}, ${stuck.reason ?? 'stuck'}`, why: stuck.message };
  const seen = (o.status?.observedGeneration ?? 0) >= (o.metadata.generation ?? 0);
  if (want === 0 && seen) return { health: ready ? 'progressing' : 'idle', text: ready ? `${ready} to stop` : 'Scaled to 0' };
  if (!seen || ready < want) return { health: 'progressing', text };
  if (updated !== undefined && updated < want) return { health: 'progressing', text: `${text}, ${updated} updated` };
  return { health: 'ok', text };
}

function jobHealth(o: KubeObject): Verdict {
  const failed = conditionOf(o, 'Failed');
  if (failed?.status === 'True') return { health: 'failed', text: failed.reason ?? 'Failed', why: failed.message };
  const done = `${o.status?.succeeded ?? 0}/${o.spec?.completions ?? 1}`;
  if (conditionOf(o, 'Complete')?.status === 'True') return { health: 'ok', text: `Complete, ${done}` };
  if (o.spec?.suspend) return { health: 'idle', text: 'Suspended' };
  const text = o.status?.failed ? `${done} done, ${o.status.failed} failed` : `${done} done`;
  return { health: 'progressing', text };
}

function cronJobHealth(o: KubeObject): Verdict {
  if (o.spec?.suspend) return { health: 'idle', text: 'Suspended' };
  const active = o.status?.active?.length ?? 0;
  return active ? { health: 'progressing', text: `${active} active` } : { health: 'ok', text: o.spec?.schedule ?? '' };
}

function nodeHealth(o: KubeObject): Verdict {
  const ready = conditionOf(o, 'Ready');
  const cordoned = o.spec?.unschedulable ? ',SchedulingDisabled' : '';
  if (ready?.status !== 'True') return { health: 'failed', text: 'NotReady' + cordoned, why: ready?.message };
  const pressure = (o.status?.conditions as Condition[]).find((c) => c.type.endsWith('Pressure') && c.status === 'True');
  if (pressure) return { health: 'failed', text: pressure.type + cordoned, why: pressure.message };
  return { health: cordoned ? 'idle' : 'ok', text: 'Ready' + cordoned };
}

function serviceHealth(o: KubeObject): Verdict {
  const type: string = o.spec?.type ?? 'ClusterIP';
  if (type === 'LoadBalancer' && !o.status?.loadBalancer?.ingress?.length) return { health: 'progressing', text: 'LoadBalancer, pending' };
  return { health: 'ok', text: o.spec?.clusterIP === 'None' ? 'Headless' : type };
}

function ingressHealth(o: KubeObject): Verdict {
  return o.status?.loadBalancer?.ingress?.length ? { health: 'ok', text: 'Routed' } : { health: 'progressing', text: 'No address yet' };
}

function routeHealth(o: KubeObject): Verdict {
  const parents: { conditions?: Condition[] }[] = o.status?.parents ?? [];
  const bad = parents.flatMap((p) => p.conditions ?? []).find((c) => ['Accepted', 'ResolvedRefs'].includes(c.type) && c.status === 'False');
  if (bad) return { health: 'failed', text: bad.reason ?? `Not ${bad.type}`, why: bad.message };
  return parents.length ? { health: 'ok', text: 'Accepted' } : { health: 'progressing', text: 'No gateway yet' };
}

function autoscalerHealth(o: KubeObject): Verdict {
  const text = `${o.status?.currentReplicas ?? 0} of ${o.spec?.minReplicas ?? 1}–${o.spec?.maxReplicas}`;
  const able = conditionOf(o, 'ScalingActive');
  if (able?.status === 'False' && able.reason !== 'ScalingDisabled') return { health: 'failed', text: able.reason ?? text, why: able.message };
  return { health: 'ok', text };
}

function budgetHealth(o: KubeObject): Verdict {
  const s = o.status ?? {};
  const text = `${s.currentHealthy ?? 0}/${s.desiredHealthy ?? 0} healthy`;
  return { health: (s.currentHealthy ?? 0) < (s.desiredHealthy ?? 0) ? 'failed' : 'ok', text };
}
