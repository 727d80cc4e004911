// The kinds of objects: those that every cluster has, in the order in which the navigation shows them, and what discovery adds.

import { useEffect, useState } from 'preact/hooks';
import { get, type KubeObject } from './api';

/** Resource is a kind of objects and where the API serves it. */
export interface Resource {
  kind: string;
  group: string; // "" for the core group
  version: string;
  plural: string;
  namespaced: boolean;
  title: string; // plural, sentence case
  section: Section;
}

export const sections = ['Workloads', 'Network', 'Config', 'Storage', 'Access', 'Cluster', 'Custom resources', 'More kinds'] as const;
export type Section = (typeof sections)[number];

/** One row is section, group/version, kind, plural, title; a "*" before the kind says that it has no namespace. */
const known: [Section, string, string, string, string][] = [
  ['Workloads', 'v1', 'Pod', 'pods', 'Pods'],
  ['Workloads', 'apps/v1', 'Deployment', 'deployments', 'Deployments'],
  ['Workloads', 'apps/v1', 'StatefulSet', 'statefulsets', 'Stateful sets'],
  ['Workloads', 'apps/v1', 'DaemonSet', 'daemonsets', 'Daemon sets'],
  ['Workloads', 'apps/v1', 'ReplicaSet', 'replicasets', 'Replica sets'],
  ['Workloads', 'batch/v1', 'Job', 'jobs', 'Jobs'],
  ['Workloads', 'batch/v1', 'CronJob', 'cronjobs', 'Cron jobs'],
  ['Workloads', 'autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers', 'Autoscalers'],
  ['Workloads', 'policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets', 'Disruption budgets'],
  ['Network', 'v1', 'Service', 'services', 'Services'],
  ['Network', 'networking.k8s.io/v1', 'Ingress', 'ingresses', 'Ingresses'],
  ['Network', 'networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies', 'Network policies'],
  ['Network', 'discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices', 'Endpoint slices'],
  ['Network', 'networking.k8s.io/v1', '*IngressClass', 'ingressclasses', 'Ingress classes'],
  ['Config', 'v1', 'ConfigMap', 'configmaps', 'Config maps'],
  ['Config', 'v1', 'Secret', 'secrets', 'Secrets'],
  ['Config', 'v1', 'ResourceQuota', 'resourcequotas', 'Resource quotas'],
  ['Config', 'v1', 'LimitRange', 'limitranges', 'Limit ranges'],
  ['Storage', 'v1', 'PersistentVolumeClaim', 'persistentvolumeclaims', 'Volume claims'],
  ['Storage', 'v1', '*PersistentVolume', 'persistentvolumes', 'Volumes'],
  ['Storage', 'storage.k8s.io/v1', '*StorageClass', 'storageclasses', 'Storage classes'],
  ['Access', 'v1', 'ServiceAccount', 'serviceaccounts', 'Service accounts'],
  ['Access', 'rbac.authorization.k8s.io/v1', 'Role', 'roles', 'Roles'],
  ['Access', 'rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings', 'Role bindings'],
  ['Access', 'rbac.authorization.k8s.io/v1', '*ClusterRole', 'clusterroles', 'Cluster roles'],
  ['Access', 'rbac.authorization.k8s.io/v1', '*ClusterRoleBinding', 'clusterrolebindings', 'Cluster role bindings'],
  ['Cluster', 'v1', '*Node', 'nodes', 'Nodes'],
  ['Cluster', 'v1', '*Namespace', 'namespaces', 'Namespaces'],
  ['Cluster', 'scheduling.k8s.io/v1', '*PriorityClass', 'priorityclasses', 'Priority classes'],
  ['Cluster', 'apiextensions.k8s.io/v1', '*CustomResourceDefinition', 'customresourcedefinitions', 'Resource definitions'],
  ['Cluster', 'v1', 'Event', 'events', 'Events'],
];

/** The kinds that the page knows: those above, and after discovery those that this cluster serves. */
export const resources: Resource[] = known.map(([section, apiVersion, kind, plural, title]) => {
  const [group, version] = splitVersion(apiVersion);
  return { section, group, version, kind: kind.replace('*', ''), plural, title, namespaced: !kind.startsWith('*') };
});
const builtIn = [...resources];

function splitVersion(apiVersion: string): [group: string, version: string] {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
}

export function resourceOf(o: { apiVersion: string; kind: string }): Resource | undefined {
  const [group] = splitVersion(o.apiVersion);
  return resources.find((r) => r.kind === o.kind && r.group === group);
}

/** resourceNamed finds "deployments.apps", "pods". */
export function resourceNamed(name: string | undefined): Resource | undefined {
  return name === undefined ? undefined : resources.find((r) => nameOf(r) === name);
}

export function nameOf(r: Resource): string {
  return r.group ? `${r.plural}.${r.group}` : r.plural;
}

export function collectionPath(r: Resource, namespace?: string): string {
  const root = r.group ? `/apis/${r.group}/${r.version}` : `/api/${r.version}`;
  return root + (namespace && r.namespaced ? `/namespaces/${encodeURIComponent(namespace)}` : '') + '/' + r.plural;
}

/** pathOf is where an object is, in the version in which it was read. */
export function pathOf(o: KubeObject): string {
  const r = resourceOf(o);
  const [group, version] = splitVersion(o.apiVersion);
  const at: Resource = { ...(r ?? fallback(o)), group, version };
  return collectionPath(at, o.metadata.namespace) + '/' + encodeURIComponent(o.metadata.name);
}

function fallback(o: KubeObject): Resource {
  const plural = o.kind.toLowerCase() + 's';
  return { kind: o.kind, group: '', version: '', plural, namespaced: !!o.metadata.namespace, title: o.kind, section: 'More kinds' };
}

interface Discovered {
  resource: string;
  responseKind?: { kind: string };
  scope: 'Cluster' | 'Namespaced';
  verbs: string[];
}
interface DiscoveryList {
  items: { metadata: { name?: string }; versions: { version: string; resources?: Discovered[] }[] }[];
}
const discoveryType = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

const listeners = new Set<() => void>();

/** discover asks the cluster what it serves; an answer replaces the resources in place. */
export async function discover(): Promise<void> {
  const lists = await Promise.all([get<DiscoveryList>('/api', discoveryType), get<DiscoveryList>('/apis', discoveryType)]);
  const found = new Map<string, Resource>();
  for (const group of lists.flatMap((l) => l.items ?? [])) {
    for (const { version, resources: served = [] } of group.versions) {
      for (const d of served) {
        const r = asResource(group.metadata.name ?? '', version, d);
        if (r && !found.has(nameOf(r))) found.set(nameOf(r), r); // the preferred version comes first
      }
    }
  }
  if (!found.size) return;
  const kept = builtIn.filter((r) => found.has(nameOf(r)));
  for (const r of kept) found.delete(nameOf(r));
  const added = [...found.values()].sort((a, b) => a.title.localeCompare(b.title));
  resources.splice(0, resources.length, ...kept, ...added);
  for (const l of listeners) l();
}

/** isServed tells whether the page knows a kind, and the cluster serves it as far as discovery has told. */
export function isServed(kind: string): boolean {
  return resources.some((r) => r.kind === kind);
}

/** useResources renders again when discovery finds other kinds. */
export function useResources(): Resource[] {
  const [, render] = useState(0);
  useEffect(() => {
    const listener = () => render((n) => n + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return resources;
}

/** Kinds that say nothing of their own in a list. */
const hidden = ['events.events.k8s.io', 'componentstatuses', 'endpoints', 'podtemplates'];

function asResource(group: string, version: string, d: Discovered): Resource | undefined {
  const kind = d.responseKind?.kind;
  if (!kind || !d.verbs.includes('watch') || !d.verbs.includes('list')) return undefined;
  const r: Resource = { kind, group, version, plural: d.resource, namespaced: d.scope === 'Namespaced', title: titleOf(kind, d.resource), section: sectionOf(group) };
  return hidden.includes(nameOf(r)) ? undefined : r;
}

function sectionOf(group: string): Section {
  if (group === 'gateway.networking.k8s.io') return 'Network';
  if (group === 'snapshot.storage.k8s.io') return 'Storage';
  return !group.includes('.') || group.endsWith('.k8s.io') ? 'More kinds' : 'Custom resources';
}

/** titleOf makes "HTTP routes" of HTTPRoute and httproutes: words from the kind, the plural's ending. */
function titleOf(kind: string, plural: string): string {
  const words = kind.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2').split(' ');
  const lower = kind.toLowerCase();
  const stem = commonPrefix(lower, plural);
  const last = words.length - 1;
  const cut = lower.length - stem.length;
  words[last] = words[last]!.slice(0, words[last]!.length - cut) + plural.slice(stem.length);
  return words.map((w, i) => (i === 0 || /^[A-Z]{2}/.test(w) ? w : w.toLowerCase())).join(' ');
}

function commonPrefix(a: string, b: string): string {
  let n = 0;
  while (n < a.length && a[n] === b[n]) n++;
  return a.slice(0, n);
}
