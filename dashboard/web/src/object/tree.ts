// The tree of an object: what it owns and leads to, down to the containers.

import type { KubeObject } from '../api';
import { type Health, healthOf } from '../health';
import { hrefOf, hrefOfObject } from '../router';
import { nameOf, resourceOf } from '../resources';
import { type Backend, backendsOf } from './backends';
import { containersOf } from './containers';
import { byName, claimsOf, podsOf, type Related, usesOf } from './related';

/** TreeNode is one row of the tree. */
export interface TreeNode {
  id: string;
  kind: string; // empty for groups
  name: string;
  href?: string;
  health?: Health;
  text?: string; // what the health is called
  details: string[];
  children: TreeNode[];
  folded: boolean; // at first
  current?: boolean; // the object that the page is about
}

/** More pods than this are shown folded. */
const openPods = 8;

/** treeOf returns the rows below an object. */
export function treeOf(o: KubeObject, related: Related): TreeNode[] {
  switch (o.kind) {
    case 'Deployment':
      return replicaSets(o, related);
    case 'Pod':
      return podChildren(o, related);
    case 'CronJob':
      return newestFirst(related.ownedBy(o, 'Job')).map((job, i) => node(job, pods(job, related), { folded: i > 0 }));
    case 'Service':
      return [...endpoints(o, related), ...leadTo(o, related)];
    case 'Ingress':
      return rules(o, related);
    case 'Gateway':
      return attached(o, related);
    case 'PersistentVolumeClaim':
      return [...bound(related.of('PersistentVolume').find((v) => v.metadata.name === o.spec?.volumeName)), ...users(o, related)];
    case 'PersistentVolume':
      return claimOf(o, related);
    case 'StorageClass':
      return byName(related.of('PersistentVolumeClaim').filter((c) => c.spec?.storageClassName === o.metadata.name)).map((c) => node(c));
    case 'Node':
      return byNamespace(podsOf(o, related), related);
    case 'ConfigMap':
    case 'Secret':
    case 'ServiceAccount':
      return users(o, related);
    case 'HorizontalPodAutoscaler':
      return target(o, related);
    case 'PodDisruptionBudget':
    case 'NetworkPolicy':
      return podNodes(podsOf(o, related), related);
    default:
      return o.kind.endsWith('Route') ? route(o, related) : owned(o, related);
  }
}

/** node makes a row of an object. */
export function node(o: KubeObject, children: TreeNode[] = [], more: Partial<TreeNode> = {}): TreeNode {
  const { health, text } = healthOf(o);
  return {
    id: o.metadata.uid,
    kind: o.kind,
    name: o.metadata.name,
    href: hrefOfObject(o),
    health: text ? health : undefined,
    text,
    details: [],
    children,
    folded: false,
    ...more,
  };
}

/** group makes a row that only holds others. */
function group(id: string, name: string, children: TreeNode[], folded = false): TreeNode {
  return { id, kind: '', name, details: [], children, folded };
}

/** reference makes a row of an object of which only the name is known. */
function reference(kind: string, apiVersion: string, namespace: string | undefined, name: string, details: string[] = []): TreeNode {
  const r = resourceOf({ kind, apiVersion });
  const href = r && hrefOf({ view: 'object', resource: nameOf(r), namespace, name });
  return { id: `${kind}/${namespace ?? ''}/${name}`, kind, name, href, details, children: [], folded: false };
}

function podNodes(list: KubeObject[], related: Related): TreeNode[] {
  return list.map((pod) => podNode(pod, related, list.length > openPods));
}

function podNode(pod: KubeObject, related: Related, folded: boolean, more: Partial<TreeNode> = {}): TreeNode {
  const details = [pod.status?.podIP, pod.spec?.nodeName && `on ${pod.spec.nodeName}`].filter(Boolean) as string[];
  return node(pod, podChildren(pod, related), { details, folded, ...more });
}

function podChildren(pod: KubeObject, related: Related): TreeNode[] {
  const containers = containersOf(pod).map((c): TreeNode => {
    const ports = c.ports.map((p) => `${p.containerPort}${p.protocol && p.protocol !== 'TCP' ? '/' + p.protocol : ''}`);
    const details = [c.image];
    if (ports.length) details.push(`port${ports.length > 1 ? 's' : ''} ${ports.join(', ')}`);
    if (c.restarts) details.push(`${c.restarts} restart${c.restarts > 1 ? 's' : ''}${c.last ? ` (last: ${c.last})` : ''}`);
    const kind = c.type[0]!.toUpperCase() + c.type.slice(1);
    return { id: `${pod.metadata.uid}/${c.name}`, kind, name: c.name, health: c.health, text: c.text, details, children: [], folded: false };
  });
  const claims = claimsOf(pod).map((name) => {
    const claim = related.find('PersistentVolumeClaim', pod.metadata.namespace, name);
    const more = { id: `${pod.metadata.uid}/claim/${name}`, details: claim ? sizes(claim) : [] };
    return claim ? node(claim, [], more) : { ...reference('PersistentVolumeClaim', 'v1', pod.metadata.namespace, name), ...more };
  });
  return [...containers, ...claims];
}

function sizes(claim: KubeObject): string[] {
  const size = claim.status?.capacity?.storage ?? claim.spec?.resources?.requests?.storage;
  return [size, claim.spec?.storageClassName].filter(Boolean) as string[];
}

function pods(owner: KubeObject, related: Related): TreeNode[] {
  return podNodes(related.ownedBy(owner, 'Pod'), related);
}

export function revisionOf(o: KubeObject): number {
  return Number(o.metadata.annotations?.['deployment.kubernetes.io/revision'] ?? o.revision ?? 0);
}

export function imagesOf(template: { spec?: { containers?: { image?: string }[] } } | undefined): string[] {
  return (template?.spec?.containers ?? []).map((c) => c.image ?? '').filter(Boolean);
}

/** replicaSets shows those with pods and the newest; the others are what undo can go back to. */
function replicaSets(deployment: KubeObject, related: Related): TreeNode[] {
  const sets = related.ownedBy(deployment, 'ReplicaSet').sort((a, b) => revisionOf(b) - revisionOf(a));
  const row = (set: KubeObject, i: number) =>
    node(set, pods(set, related), {
      details: [`revision ${revisionOf(set)}`, ...imagesOf(set.spec?.template)],
      folded: i > 0 && !set.status?.replicas,
    });
  const active = sets.filter((set, i) => i === 0 || set.status?.replicas || set.spec?.replicas);
  const old = sets.filter((set) => !active.includes(set));
  const rows = active.map(row);
  if (old.length) rows.push(group(`${deployment.metadata.uid}/old`, `${old.length} old ReplicaSet${old.length > 1 ? 's' : ''}`, old.map(row), true));
  return rows;
}

function newestFirst(objects: KubeObject[]): KubeObject[] {
  return objects.sort((a, b) => b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp));
}

interface Endpoint {
  addresses: string[];
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
  targetRef?: { kind: string; name: string; namespace?: string };
}

/** endpoints are the pods that get a Service's traffic, and those selected ones that get none. */
function endpoints(service: KubeObject, related: Related): TreeNode[] {
  const slices = related
    .in('EndpointSlice', service.metadata.namespace)
    .filter((s) => s.metadata.labels?.['kubernetes.io/service-name'] === service.metadata.name);
  const selected = new Map(podsOf(service, related).map((p) => [p.metadata.name, p]));
  const seen = new Set<string>();
  const rows: TreeNode[] = [];
  for (const slice of slices) {
    const ports = (slice.ports ?? [])
      .map((p: { port?: number }) => p.port)
      .filter(Boolean)
      .join(', ');
    for (const endpoint of (slice.endpoints ?? []) as Endpoint[]) {
      const name = endpoint.targetRef?.name ?? endpoint.addresses[0]!;
      if (seen.has(name)) continue;
      seen.add(name);
      rows.push(endpointNode(name, endpoint, ports, selected.get(name), related));
    }
  }
  for (const [name, pod] of selected) {
    if (!seen.has(name)) rows.push(podNode(pod, related, true, { details: ['selected, but no endpoint'] }));
  }
  return rows;
}

function endpointNode(name: string, endpoint: Endpoint, ports: string, pod: KubeObject | undefined, related: Related): TreeNode {
  const ready = endpoint.conditions?.ready !== false;
  const details = [`${endpoint.addresses.join(', ')}${ports ? `, port ${ports}` : ''}`, ready ? 'gets traffic' : 'gets no traffic'];
  if (endpoint.conditions?.terminating) details.push('ending');
  if (pod) return podNode(pod, related, true, { details });
  return {
    id: `endpoint/${name}`,
    kind: 'Endpoint',
    name,
    health: ready ? 'ok' : 'progressing',
    text: ready ? 'Ready' : 'Not ready',
    details,
    children: [],
    folded: false,
  };
}

/** leadTo are the Ingresses and routes that lead to a Service. */
function leadTo(service: KubeObject, related: Related): TreeNode[] {
  const { namespace, name } = service.metadata;
  const ingresses = related.in('Ingress', namespace).filter((i) => backendsOf(i).some((b) => b.service === name));
  const routes = [...related.of('HTTPRoute'), ...related.of('GRPCRoute')].filter((r) =>
    backendsOf(r).some((b) => b.service === name && (b.namespace ?? r.metadata.namespace) === namespace),
  );
  const rows = byName([...ingresses, ...routes]).map((o) => node(o));
  return rows.length ? [group(`${service.metadata.uid}/leads`, 'Reached through', rows)] : [];
}

function rules(o: KubeObject, related: Related): TreeNode[] {
  return backendsOf(o).map((b, i) =>
    group(`${o.metadata.uid}/rule/${i}`, b.match, [serviceNode(b, o.metadata.namespace, related, `${o.metadata.uid}/${i}`)]),
  );
}

function serviceNode(b: Backend, namespace: string | undefined, related: Related, prefix: string): TreeNode {
  const where = b.namespace ?? namespace;
  const service = related.find('Service', where, b.service);
  const details = b.port ? [`port ${b.port}`] : [];
  if (service) return node(service, prefixed(endpoints(service, related), prefix), { id: `${prefix}/${service.metadata.uid}`, details });
  const missing = related.ready ? { health: 'failed' as const, text: 'Does not exist' } : {};
  return { ...reference('Service', 'v1', where, b.service, details), id: `${prefix}/${b.service}`, ...missing };
}

/** prefixed makes the ids of rows unique that are in the tree several times. */
function prefixed(rows: TreeNode[], prefix: string): TreeNode[] {
  return rows.map((row) => ({ ...row, id: `${prefix}/${row.id}`, children: prefixed(row.children, prefix) }));
}

function route(o: KubeObject, related: Related): TreeNode[] {
  const parents = (o.spec?.parentRefs ?? []).map((p: any) =>
    reference(
      p.kind ?? 'Gateway',
      `${p.group ?? 'gateway.networking.k8s.io'}/v1`,
      p.namespace ?? o.metadata.namespace,
      p.name,
      p.sectionName ? [`listener ${p.sectionName}`] : [],
    ),
  );
  const rows = rules(o, related);
  if (parents.length) rows.push(group(`${o.metadata.uid}/parents`, 'Attached to', parents));
  return rows;
}

function attached(gateway: KubeObject, related: Related): TreeNode[] {
  const { name, namespace } = gateway.metadata;
  const routes = [...related.of('HTTPRoute'), ...related.of('GRPCRoute')].filter((r) =>
    (r.spec?.parentRefs ?? []).some((p: any) => p.name === name && (p.namespace ?? r.metadata.namespace) === namespace),
  );
  return byName(routes).map((r) => node(r, rules(r, related)));
}

function bound(volume: KubeObject | undefined): TreeNode[] {
  return volume ? [node(volume, [], { details: [volume.spec?.capacity?.storage, volume.spec?.persistentVolumeReclaimPolicy].filter(Boolean) })] : [];
}

function claimOf(volume: KubeObject, related: Related): TreeNode[] {
  const ref = volume.spec?.claimRef;
  if (!ref) return [];
  const claim = related.find('PersistentVolumeClaim', ref.namespace, ref.name);
  return claim
    ? [node(claim, users(claim, related), { details: sizes(claim) })]
    : [reference('PersistentVolumeClaim', 'v1', ref.namespace, ref.name)];
}

function users(o: KubeObject, related: Related): TreeNode[] {
  return podsOf(o, related).map((pod) => podNode(pod, related, true, { details: usesOf(pod, o.kind, o.metadata.name) }));
}

function byNamespace(list: KubeObject[], related: Related): TreeNode[] {
  const namespaces = new Map<string, KubeObject[]>();
  for (const pod of list) {
    const name = pod.metadata.namespace ?? '';
    namespaces.set(name, [...(namespaces.get(name) ?? []), pod]);
  }
  return [...namespaces]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, inside]) => {
      const rows = inside.map((pod) => podNode(pod, related, true));
      return { ...group(`namespace/${name}`, name, rows, inside.length > 40), details: [`${inside.length} pod${inside.length > 1 ? 's' : ''}`] };
    });
}

function target(o: KubeObject, related: Related): TreeNode[] {
  const ref = o.spec?.scaleTargetRef;
  if (!ref) return [];
  const found = related.find(ref.kind, o.metadata.namespace, ref.name);
  return found ? [node(found, treeOf(found, related))] : [reference(ref.kind, ref.apiVersion, o.metadata.namespace, ref.name)];
}

function owned(o: KubeObject, related: Related): TreeNode[] {
  return related.ownedBy(o).map((child) => (child.kind === 'Pod' ? podNode(child, related, false) : node(child, treeOf(child, related))));
}
