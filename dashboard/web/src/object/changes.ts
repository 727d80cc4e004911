// The changes that buttons make: each is one request to the API, the same that kubectl makes.

import { type KubeObject, get, send } from '../api';
import { type Related, podsOf } from './related';
import { imagesOf, revisionOf } from './tree';

const merge = 'application/merge-patch+json';
const strategic = 'application/strategic-merge-patch+json';
const jsonPatch = 'application/json-patch+json';
const changeCause = 'kubernetes.io/change-cause';
const templateHash = 'pod-template-hash';

export function scale(path: string, replicas: number): Promise<unknown> {
  return send('PATCH', `${path}/scale`, { spec: { replicas } }, merge);
}

/** restart replaces all pods, as kubectl rollout restart does. */
export function restart(path: string): Promise<unknown> {
  const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() };
  return send('PATCH', path, { spec: { template: { metadata: { annotations } } } }, strategic);
}

export function setPaused(path: string, paused: boolean): Promise<unknown> {
  return send('PATCH', path, { spec: { paused } }, merge);
}

export function setSuspended(path: string, suspend: boolean): Promise<unknown> {
  return send('PATCH', path, { spec: { suspend } }, merge);
}

export function setUnschedulable(path: string, unschedulable: boolean): Promise<unknown> {
  return send('PATCH', path, { spec: { unschedulable: unschedulable || null } }, merge);
}

export interface Deletion {
  /** atOnce leaves a pod no time to end. */
  atOnce: boolean;
  uid: string;
}

export function remove(path: string, { atOnce, uid }: Deletion): Promise<unknown> {
  const options = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', preconditions: { uid } };
  return send('DELETE', path, atOnce ? { ...options, gracePeriodSeconds: 0 } : options);
}

/** runNow makes a Job from a CronJob's template, as kubectl create job --from does. */
export function runNow(cron: KubeObject): Promise<KubeObject> {
  const template = cron.spec?.jobTemplate ?? {};
  const { name, namespace, uid } = cron.metadata;
  return send<KubeObject>('POST', `/apis/batch/v1/namespaces/${namespace}/jobs`, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: `${name.slice(0, 45)}-manual-${Date.now().toString(36).slice(-6)}`,
      labels: template.metadata?.labels,
      annotations: { ...template.metadata?.annotations, 'cronjob.kubernetes.io/instantiate': 'manual' },
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'CronJob', name, uid, controller: true }],
    },
    spec: template.spec,
  });
}

/** Revision is a state of a workload's pod template that undo can go back to. */
export interface Revision {
  number: number;
  images: string[];
  cause: string;
  created: string;
  current: boolean;
  /** source is the ReplicaSet or ControllerRevision that keeps it. */
  source: KubeObject;
}

/** revisionsOf lists the newest first. */
export async function revisionsOf(o: KubeObject): Promise<Revision[]> {
  const kind = o.kind === 'Deployment' ? 'replicasets' : 'controllerrevisions';
  const list = await get<{ items: KubeObject[] }>(`/apis/apps/v1/namespaces/${o.metadata.namespace}/${kind}`);
  const own = list.items.filter((x) => x.metadata.ownerReferences?.some((r) => r.uid === o.metadata.uid));
  const newest = Math.max(0, ...own.map(revisionOf));
  const revisions = own.map((source): Revision => {
    const template = o.kind === 'Deployment' ? source.spec?.template : source.data?.spec?.template;
    return {
      number: revisionOf(source),
      images: imagesOf(template),
      cause: source.metadata.annotations?.[changeCause] ?? '',
      created: source.metadata.creationTimestamp,
      current: revisionOf(source) === newest,
      source,
    };
  });
  return revisions.filter((r) => r.number > 0).sort((a, b) => b.number - a.number);
}

/** undo gives a workload the pod template of a revision. */
export function undo(o: KubeObject, path: string, revision: Revision): Promise<unknown> {
  if (o.kind !== 'Deployment') return send('PATCH', path, revision.source.data, strategic);
  const template = structuredClone(revision.source.spec.template);
  delete template.metadata?.labels?.[templateHash];
  const patch: object[] = [{ op: 'replace', path: '/spec/template', value: template }];
  if (revision.cause) patch.push({ op: 'add', path: `/metadata/annotations/${changeCause.replace('/', '~1')}`, value: revision.cause });
  return send('PATCH', path, patch, jsonPatch);
}

/** consequences says in lines what goes, or stops to work, with an object. */
export function consequences(o: KubeObject, owned: KubeObject[], related: Related): string[] {
  const lines: string[] = [];
  const kinds = new Map<string, string[]>();
  for (const child of owned) kinds.set(child.kind, [...(kinds.get(child.kind) ?? []), child.metadata.name]);
  for (const [kind, names] of kinds) lines.push(`${names.length} ${kind}${names.length > 1 ? 's' : ''}: ${listOf(names)}`);
  const users = () => podsOf(o, related).map((p) => p.metadata.name);
  if (['ConfigMap', 'Secret', 'ServiceAccount'].includes(o.kind) && users().length) lines.push(`Used by ${users().length} pods: ${listOf(users())}`);
  if (o.kind === 'PersistentVolumeClaim') lines.push(...claimConsequences(o, users(), related));
  if (o.kind === 'Node' && users().length) lines.push(`${users().length} pods run on it: ${listOf(users())}`);
  if (o.kind === 'Pod' && !o.metadata.ownerReferences?.length) lines.push('No controller makes this pod again.');
  return lines;
}

function claimConsequences(claim: KubeObject, pods: string[], related: Related): string[] {
  const volume = related.of('PersistentVolume').find((v) => v.metadata.name === claim.spec?.volumeName);
  const lines: string[] = [];
  if (volume?.spec?.persistentVolumeReclaimPolicy === 'Retain') lines.push(`The data stays in PersistentVolume ${volume.metadata.name} (Retain).`);
  else if (claim.spec?.volumeName) lines.push(`The data in PersistentVolume ${claim.spec.volumeName} is deleted.`);
  if (pods.length) lines.push(`Used by ${pods.length > 1 ? 'pods' : 'pod'} ${listOf(pods)}; it goes when they are gone.`);
  return lines;
}

function listOf(names: string[]): string {
  return names.length > 6 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
}

/** The kinds that are counted before a namespace is deleted. */
const counted: [path: string, title: string][] = [
  ['/apis/apps/v1/namespaces/NS/deployments', 'Deployments'],
  ['/apis/apps/v1/namespaces/NS/statefulsets', 'StatefulSets'],
  ['/apis/apps/v1/namespaces/NS/daemonsets', 'DaemonSets'],
  ['/apis/batch/v1/namespaces/NS/jobs', 'Jobs'],
  ['/api/v1/namespaces/NS/pods', 'Pods'],
  ['/api/v1/namespaces/NS/services', 'Services'],
  ['/api/v1/namespaces/NS/configmaps', 'ConfigMaps'],
  ['/api/v1/namespaces/NS/secrets', 'Secrets'],
  ['/api/v1/namespaces/NS/persistentvolumeclaims', 'PersistentVolumeClaims, with their data'],
];

/** namespaceContents counts what goes with a namespace. Kinds that the user may not list are left out. */
export async function namespaceContents(name: string): Promise<string[]> {
  const lines = await Promise.all(
    counted.map(async ([path, title]) => {
      try {
        const list = await get<{ items: unknown[]; metadata: { remainingItemCount?: number } }>(path.replace('NS', name) + '?limit=1');
        const count = list.items.length + (list.metadata.remainingItemCount ?? 0);
        return count ? `${count} ${title}` : '';
      } catch {
        return '';
      }
    }),
  );
  return lines.filter(Boolean);
}
