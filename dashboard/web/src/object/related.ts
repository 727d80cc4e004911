// What belongs to an object: what it owns, selects, refers to, or is used by. Found among the objects that the page watches.

import { useMemo } from 'preact/hooks';
import type { KubeObject } from '../api';
import { isServed } from '../resources';
import { useKind } from '../store';

const workload = ['ReplicaSet', 'Pod', 'PersistentVolumeClaim'] as const;
const routed = ['Service', 'EndpointSlice', 'Pod'] as const;

/** The kinds to be watched for the tree of each kind. Other kinds are looked for owned workloads. */
const kindsFor: Record<string, readonly string[]> = {
  Pod: ['Pod', 'PersistentVolumeClaim'],
  Deployment: workload,
  ReplicaSet: ['Pod', 'PersistentVolumeClaim'],
  ReplicationController: ['Pod', 'PersistentVolumeClaim'],
  StatefulSet: ['Pod', 'PersistentVolumeClaim'],
  DaemonSet: ['Pod', 'PersistentVolumeClaim'],
  Job: ['Pod', 'PersistentVolumeClaim'],
  CronJob: ['Job', 'Pod', 'PersistentVolumeClaim'],
  Service: ['EndpointSlice', 'Pod', 'Ingress', 'HTTPRoute', 'GRPCRoute'],
  Ingress: routed,
  HTTPRoute: routed,
  GRPCRoute: routed,
  TLSRoute: routed,
  TCPRoute: routed,
  UDPRoute: routed,
  Gateway: ['HTTPRoute', 'GRPCRoute', ...routed],
  PersistentVolumeClaim: ['PersistentVolume', 'Pod'],
  PersistentVolume: ['PersistentVolumeClaim', 'Pod'],
  StorageClass: ['PersistentVolumeClaim'],
  Node: ['Pod'],
  ConfigMap: ['Pod'],
  Secret: ['Pod'],
  ServiceAccount: ['Pod'],
  HorizontalPodAutoscaler: ['Deployment', 'StatefulSet', ...workload],
  PodDisruptionBudget: ['Pod'],
  NetworkPolicy: ['Pod'],
  Namespace: [],
  Event: [],
};
const otherKinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'Job', 'Service', 'ConfigMap', 'Secret', ...workload] as const;

/** Related answers questions about the objects of some kinds. */
export class Related {
  private owned = new Map<string, KubeObject[]>();

  constructor(
    private kinds: ReadonlyMap<string, KubeObject[]>,
    /** ready says that all kinds are complete, or denied. */
    readonly ready: boolean,
    /** denied are the kinds that the user may not list. */
    readonly denied: string[],
  ) {
    for (const objects of kinds.values()) {
      for (const o of objects) {
        for (const ref of o.metadata.ownerReferences ?? []) {
          const list = this.owned.get(ref.uid);
          if (list) list.push(o);
          else this.owned.set(ref.uid, [o]);
        }
      }
    }
  }

  of(kind: string): KubeObject[] {
    return this.kinds.get(kind) ?? [];
  }

  in(kind: string, namespace: string | undefined): KubeObject[] {
    return this.of(kind).filter((o) => o.metadata.namespace === namespace);
  }

  find(kind: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.of(kind).find((o) => o.metadata.name === name && o.metadata.namespace === namespace);
  }

  /** ownedBy returns what an object owns, in the natural order of names. */
  ownedBy(o: KubeObject, kind?: string): KubeObject[] {
    const all = this.owned.get(o.metadata.uid) ?? [];
    return byName(kind ? all.filter((x) => x.kind === kind) : all);
  }
}

/** useRelated watches what the tree of an object is made of. The object's kind must not change between calls. */
export function useRelated(object: KubeObject): Related {
  const kinds = kindsFor[object.kind] ?? otherKinds;
  const watched = kinds.map((kind) => useKind(kind)); // the same number of hooks each time
  return useMemo(() => {
    const found = new Map(kinds.map((kind, i): [string, KubeObject[]] => [kind, [...watched[i]!.objects.values()]]));
    const ready = kinds.every((kind, i) => watched[i]!.ready || watched[i]!.denied || !isServed(kind));
    const denied = kinds.filter((_, i) => watched[i]!.denied);
    return new Related(found, ready, denied);
  }, watched);
}

const collator = new Intl.Collator('en', { numeric: true });

/** byName sorts in natural order: db-2 before db-10. */
export function byName(objects: KubeObject[]): KubeObject[] {
  return objects.sort((a, b) => collator.compare(a.metadata.name, b.metadata.name));
}

/** podsOf returns the pods that an object runs, selects or uses. */
export function podsOf(o: KubeObject, related: Related): KubeObject[] {
  const pods = () => related.in('Pod', o.metadata.namespace);
  switch (o.kind) {
    case 'Pod':
      return [related.of('Pod').find((p) => p.metadata.uid === o.metadata.uid) ?? o];
    case 'Service':
      return o.spec?.selector ? byName(pods().filter((p) => matches(o.spec.selector, p))) : [];
    case 'PodDisruptionBudget':
      return byName(pods().filter((p) => matchesSelector(o.spec?.selector, p)));
    case 'NetworkPolicy':
      return byName(pods().filter((p) => matchesSelector(o.spec?.podSelector ?? {}, p)));
    case 'Node':
      return byName(related.of('Pod').filter((p) => p.spec?.nodeName === o.metadata.name));
    case 'PersistentVolumeClaim':
    case 'ConfigMap':
    case 'Secret':
    case 'ServiceAccount':
      return byName(pods().filter((p) => usesOf(p, o.kind, o.metadata.name).length > 0));
    case 'PersistentVolume': {
      const claim = o.spec?.claimRef && related.find('PersistentVolumeClaim', o.spec.claimRef.namespace, o.spec.claimRef.name);
      return claim ? podsOf(claim, related) : [];
    }
    default:
      return byName([...new Set(descendants(o, related).filter((x) => x.kind === 'Pod'))]);
  }
}

/** descendants are all objects that an object owns, or that those own. */
export function descendants(o: KubeObject, related: Related, depth = 0): KubeObject[] {
  if (depth > 5) return [];
  return related.ownedBy(o).flatMap((child) => [child, ...descendants(child, related, depth + 1)]);
}

/** versionsOf is another text when an object, or something that belongs to it, has changed. */
export function versionsOf(o: KubeObject, related: Related): string {
  return [o, ...descendants(o, related), ...podsOf(o, related)].map((x) => x.metadata.uid + x.metadata.resourceVersion).join();
}

/** matches says whether a pod has all labels of a Service's selector. An empty one selects nothing. */
export function matches(selector: Record<string, string>, o: KubeObject): boolean {
  const entries = Object.entries(selector);
  return entries.length > 0 && entries.every(([key, value]) => o.metadata.labels?.[key] === value);
}

interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

/** matchesSelector is for selectors with expressions. An empty one selects everything, none at all nothing. */
export function matchesSelector(selector: Selector | undefined, o: KubeObject): boolean {
  if (!selector) return false;
  const labels = o.metadata.labels ?? {};
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return (
    equal &&
    (selector.matchExpressions ?? []).every(({ key, operator, values }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      const among = value !== undefined && (values ?? []).includes(value);
      return operator === 'In' ? among : !among;
    })
  );
}

interface PodVolume {
  name: string;
  configMap?: { name: string };
  secret?: { secretName: string };
  persistentVolumeClaim?: { claimName: string };
  projected?: { sources?: { configMap?: { name: string }; secret?: { name: string } }[] };
}

/** usesOf says how a pod uses a ConfigMap, Secret, claim or service account: as volume NAME, in the environment. */
export function usesOf(pod: KubeObject, kind: string, name: string): string[] {
  const spec = pod.spec ?? {};
  if (kind === 'ServiceAccount') return (spec.serviceAccountName || 'default') === name ? ['runs as it'] : [];
  const uses: string[] = [];
  for (const volume of (spec.volumes ?? []) as PodVolume[]) {
    if (volumeNames(volume, kind).includes(name)) uses.push(`volume ${volume.name}`);
  }
  if (kind === 'Secret' && (spec.imagePullSecrets ?? []).some((s: { name: string }) => s.name === name)) uses.push('pulls images');
  const ref = kind === 'Secret' ? 'secret' : 'configMap';
  for (const c of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
    const fromAll = (c.envFrom ?? []).some((e: Record<string, { name: string }>) => e[`${ref}Ref`]?.name === name);
    const fromKey = (c.env ?? []).some((e: { valueFrom?: Record<string, { name: string }> }) => e.valueFrom?.[`${ref}KeyRef`]?.name === name);
    if (fromAll || fromKey) uses.push(`environment of ${c.name}`);
  }
  return uses;
}

function volumeNames(volume: PodVolume, kind: string): (string | undefined)[] {
  const sources = volume.projected?.sources ?? [];
  switch (kind) {
    case 'ConfigMap':
      return [volume.configMap?.name, ...sources.map((s) => s.configMap?.name)];
    case 'Secret':
      return [volume.secret?.secretName, ...sources.map((s) => s.secret?.name)];
    default:
      return [volume.persistentVolumeClaim?.claimName];
  }
}

/** claimsOf returns the names of the claims that a pod mounts. */
export function claimsOf(pod: KubeObject): string[] {
  return ((pod.spec?.volumes ?? []) as PodVolume[]).flatMap((v) => v.persistentVolumeClaim?.claimName ?? []);
}
