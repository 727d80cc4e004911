// Which workload a pod belongs to, and how a workload is with its pods.

import type { KubeObject, OwnerReference } from '../api';
import { healthOf, type Verdict } from '../health';
import type { WorkloadNode } from './model';

/** Pods without a workload stand for themselves; more than this many with the same Services are one node. */
const maxBare = 3;

/** PodIndex finds pods by label. */
export class PodIndex {
  private byLabel = new Map<string, KubeObject[]>();

  constructor(pods: KubeObject[]) {
    for (const p of pods) {
      for (const [k, v] of Object.entries(p.metadata.labels ?? {})) {
        const id = `${p.metadata.namespace}/${k}=${v}`;
        const list = this.byLabel.get(id);
        if (list) list.push(p);
        else this.byLabel.set(id, [p]);
      }
    }
  }

  /** select returns the pods of a Service; pods that have ended are none of its. */
  select(namespace: string, selector: Record<string, string> | undefined): KubeObject[] {
    const pairs = Object.entries(selector ?? {});
    const lists = pairs.map(([k, v]) => this.byLabel.get(`${namespace}/${k}=${v}`) ?? []);
    const shortest = lists.reduce<KubeObject[] | undefined>((a, b) => (a && a.length <= b.length ? a : b), undefined) ?? [];
    return shortest.filter((p) => !hasEnded(p) && pairs.every(([k, v]) => p.metadata.labels?.[k] === v));
  }
}

function hasEnded(pod: KubeObject): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

function controllerOf(o: KubeObject): OwnerReference | undefined {
  return o.metadata.ownerReferences?.find((r) => r.controller);
}

/** Found are the workloads, and whose pods are whose. */
export interface Found {
  workloads: WorkloadNode[];
  ofPod: Map<string, WorkloadNode>; // by the pod's uid
}

export function workloadsOf(objects: KubeObject[], pods: KubeObject[], selected: Map<string, KubeObject[]>): Found {
  const byUid = new Map(objects.map((o) => [o.metadata.uid, o]));
  const nodes = new Map<string, WorkloadNode>();
  const ofPod = new Map<string, WorkloadNode>();
  const bare: KubeObject[] = [];
  for (const o of objects) {
    if (!controllerOf(o)) nodes.set(o.metadata.uid, node(o.kind, o.metadata.namespace!, o.metadata.name, o));
  }
  for (const p of pods) {
    const owner = topOwner(p, byUid);
    if (!owner) {
      bare.push(p);
      continue;
    }
    let w = nodes.get(owner.uid);
    if (!w) nodes.set(owner.uid, (w = node(owner.kind, p.metadata.namespace!, owner.name, byUid.get(owner.uid))));
    w.pods.push(p);
    ofPod.set(p.metadata.uid, w);
  }
  const workloads = [...nodes.values(), ...barePods(bare, selected, ofPod)];
  for (const w of workloads) Object.assign(w, judge(w));
  return { workloads, ofPod };
}

function node(kind: string, namespace: string, name: string, object?: KubeObject): WorkloadNode {
  return { id: `${kind}/${namespace}/${name}`, kind, namespace, name, object, pods: [], health: 'idle', text: '' };
}

/** topOwner follows the controllers of a pod upwards, as far as they are known. A static pod's is its node: it counts as having none. */
function topOwner(pod: KubeObject, byUid: Map<string, KubeObject>): OwnerReference | undefined {
  let owner = controllerOf(pod);
  if (owner?.kind === 'Node') return undefined;
  for (;;) {
    const object = owner && byUid.get(owner.uid);
    const above = object && controllerOf(object);
    if (!above) return owner;
    owner = above;
  }
}

function barePods(pods: KubeObject[], selected: Map<string, KubeObject[]>, ofPod: Map<string, WorkloadNode>): WorkloadNode[] {
  if (!pods.length) return [];
  const services = new Map<string, string[]>();
  for (const [id, list] of selected) {
    for (const p of list) services.set(p.metadata.uid, [...(services.get(p.metadata.uid) ?? []), id]);
  }
  const groups = Map.groupBy(pods, (p) => `${p.metadata.namespace} ${(services.get(p.metadata.uid) ?? []).join()}`);
  return [...groups].flatMap(([id, group]) => {
    const namespace = group[0]!.metadata.namespace!;
    const nodes =
      group.length <= maxBare
        ? group.map((p) => ({ ...node('Pod', namespace, p.metadata.name, p), pods: [p] }))
        : [{ ...node('Pods', namespace, id), name: `${group.length} without a workload`, pods: group }];
    for (const n of nodes) for (const p of n.pods) ofPod.set(p.metadata.uid, n);
    return nodes;
  });
}

/** judge says how a workload is. Where a pod says more than the workload's own status, it is the pod's word. */
function judge(w: WorkloadNode): Verdict {
  w.pods.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const failed = w.pods.find((p) => healthOf(p).health === 'failed' && !(hasEnded(p) && w.object && w.object.kind !== 'Pod'));
  const running = w.pods.filter((p) => healthOf(p).health === 'ok').length;
  const own: Verdict = w.object ? healthOf(w.object) : { health: running === w.pods.length ? 'ok' : 'progressing', text: `${running}/${w.pods.length} running` };
  if (!failed) return own;
  const pod = healthOf(failed);
  if (w.object?.kind === 'Pod') return pod;
  return { health: 'failed', text: own.text, why: pod.why ? `${pod.text}: ${pod.why}` : pod.text };
}
