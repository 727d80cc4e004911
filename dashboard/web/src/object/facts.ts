// The few fields of each kind that people look for first.

import type { KubeObject } from '../api';
import { imagesOf } from './tree';
import { templateOf } from './kinds';

/** Fact is one line: a name, and its values. link names an object that the value is. */
export interface Fact {
  name: string;
  value: string;
  link?: { kind: string; name: string; namespace?: string };
}

type Add = (name: string, value: unknown, link?: Fact['link']) => void;

/** factsOf lists them; what an object does not have is left out. */
export function factsOf(o: KubeObject): Fact[] {
  const facts: Fact[] = [];
  const add: Add = (name, value, link) => {
    const text = Array.isArray(value) ? value.filter(Boolean).join(', ') : value;
    if (text !== undefined && text !== null && text !== '') facts.push({ name, value: String(text), link });
  };
  (byKind[o.kind] ?? otherFacts)(o, add);
  if (o.metadata.deletionTimestamp) {
    add('Finalizers', (o.metadata as { finalizers?: string[] }).finalizers);
  }
  return facts;
}

const byKind: Record<string, (o: KubeObject, add: Add) => void> = {
  Pod: podFacts,
  Deployment: workloadFacts,
  ReplicaSet: workloadFacts,
  ReplicationController: workloadFacts,
  StatefulSet: workloadFacts,
  DaemonSet: workloadFacts,
  Job(o, add) {
    add('Completions', `${o.status?.succeeded ?? 0} of ${o.spec?.completions ?? 1}`);
    add('Parallelism', o.spec?.parallelism);
    add('Backoff limit', o.spec?.backoffLimit);
    add('Deadline', seconds(o.spec?.activeDeadlineSeconds));
    add('Deleted after', seconds(o.spec?.ttlSecondsAfterFinished));
    add('Images', imagesOf(templateOf(o)));
  },
  CronJob(o, add) {
    add('Schedule', o.spec?.schedule);
    add('Time zone', o.spec?.timeZone);
    add('Concurrency', o.spec?.concurrencyPolicy);
    add('Last run', o.status?.lastScheduleTime && new Date(o.status.lastScheduleTime).toLocaleString());
    add('Last success', o.status?.lastSuccessfulTime && new Date(o.status.lastSuccessfulTime).toLocaleString());
    add('Images', imagesOf(templateOf(o)));
  },
  Service: serviceFacts,
  Ingress(o, add) {
    add('Class', o.spec?.ingressClassName, link('IngressClass', o.spec?.ingressClassName));
    add(
      'Addresses',
      (o.status?.loadBalancer?.ingress ?? []).map((i: { ip?: string; hostname?: string }) => i.ip ?? i.hostname),
    );
    for (const tls of o.spec?.tls ?? [])
      add('TLS', `${(tls.hosts ?? []).join(', ') || 'all hosts'} by Secret ${tls.secretName}`, link('Secret', tls.secretName, o.metadata.namespace));
  },
  PersistentVolumeClaim(o, add) {
    add('Capacity', o.status?.capacity?.storage);
    add('Requested', o.spec?.resources?.requests?.storage);
    add('Access modes', o.spec?.accessModes);
    add('Storage class', o.spec?.storageClassName, link('StorageClass', o.spec?.storageClassName));
    add('Volume mode', o.spec?.volumeMode);
  },
  PersistentVolume(o, add) {
    add('Capacity', o.spec?.capacity?.storage);
    add('Access modes', o.spec?.accessModes);
    add('Reclaim policy', o.spec?.persistentVolumeReclaimPolicy);
    add('Storage class', o.spec?.storageClassName, link('StorageClass', o.spec?.storageClassName));
    add('Path', o.spec?.hostPath?.path ?? o.spec?.local?.path);
    add('Driver', o.spec?.csi?.driver);
  },
  StorageClass(o, add) {
    add('Provisioner', o.provisioner);
    add('Reclaim policy', o.reclaimPolicy);
    add('Binding', o.volumeBindingMode);
    add('Expansion', o.allowVolumeExpansion ? 'allowed' : 'not allowed');
  },
  Node: nodeFacts,
  HorizontalPodAutoscaler(o, add) {
    const ref = o.spec?.scaleTargetRef;
    add('Target', ref && `${ref.kind} ${ref.name}`, ref && link(ref.kind, ref.name, o.metadata.namespace));
    add(
      'Replicas',
      `${o.status?.currentReplicas ?? 0}, wants ${o.status?.desiredReplicas ?? 0} (${o.spec?.minReplicas ?? 1} to ${o.spec?.maxReplicas})`,
    );
    for (const m of o.spec?.metrics ?? []) add('Metric', metricText(m));
  },
  PodDisruptionBudget(o, add) {
    add('Min available', o.spec?.minAvailable);
    add('Max unavailable', o.spec?.maxUnavailable);
    add('Disruptions allowed', o.status?.disruptionsAllowed);
    add('Selector', labelsText(o.spec?.selector?.matchLabels));
  },
  NetworkPolicy(o, add) {
    add('Applies to', labelsText(o.spec?.podSelector?.matchLabels) || 'all pods of the namespace');
    add('Types', o.spec?.policyTypes);
    add('Ingress rules', o.spec?.ingress?.length);
    add('Egress rules', o.spec?.egress?.length);
  },
  Secret(o, add) {
    add('Type', o.type);
    add('Immutable', o.immutable ? 'yes' : undefined);
  },
  ConfigMap(o, add) {
    add('Immutable', o.immutable ? 'yes' : undefined);
  },
  Namespace(o, add) {
    add('Phase', o.status?.phase);
  },
  RoleBinding: bindingFacts,
  ClusterRoleBinding: bindingFacts,
  Role: roleFacts,
  ClusterRole: roleFacts,
  Event(o, add) {
    add('Reason', o.reason);
    add('Message', o.message ?? o.note);
    add('Reported by', o.reportingComponent ?? o.source?.component);
    const about = o.involvedObject ?? o.regarding;
    add('About', about && `${about.kind} ${about.name}`, about && link(about.kind, about.name, about.namespace));
  },
};

function link(kind: string, name: string | undefined, namespace?: string): Fact['link'] {
  return name ? { kind, name, namespace } : undefined;
}

function podFacts(o: KubeObject, add: Add): void {
  const { spec = {}, status = {}, metadata } = o;
  add('Node', spec.nodeName, link('Node', spec.nodeName));
  add('Pod IP', status.podIPs?.map((p: { ip: string }) => p.ip) ?? status.podIP);
  add('QoS class', status.qosClass);
  add('Service account', spec.serviceAccountName, link('ServiceAccount', spec.serviceAccountName, metadata.namespace));
  add('Restart policy', spec.restartPolicy !== 'Always' ? spec.restartPolicy : undefined);
  add('Priority class', spec.priorityClassName, link('PriorityClass', spec.priorityClassName));
  add('Host network', spec.hostNetwork ? 'yes' : undefined);
  for (const v of spec.volumes ?? []) {
    if (v.configMap) add('Config map', v.configMap.name, link('ConfigMap', v.configMap.name, metadata.namespace));
    if (v.secret) add('Secret', v.secret.secretName, link('Secret', v.secret.secretName, metadata.namespace));
  }
}

function workloadFacts(o: KubeObject, add: Add): void {
  const { spec = {}, status = {} } = o;
  if (spec.replicas !== undefined) {
    add('Replicas', `${status.readyReplicas ?? 0} ready of ${spec.replicas}`);
  } else if (o.kind === 'DaemonSet') {
    add('Pods', `${status.numberReady ?? 0} ready of ${status.desiredNumberScheduled ?? 0}`);
  }
  add('Images', imagesOf(templateOf(o)));
  add('Strategy', strategyText(spec.strategy ?? spec.updateStrategy));
  add('Selector', labelsText(spec.selector?.matchLabels ?? (o.kind === 'ReplicationController' ? spec.selector : undefined)));
  add('Headless Service', spec.serviceName, link('Service', spec.serviceName, o.metadata.namespace));
  const account = spec.template?.spec?.serviceAccountName;
  add('Service account', account, link('ServiceAccount', account, o.metadata.namespace));
  add('Revision', o.metadata.annotations?.['deployment.kubernetes.io/revision']);
  add('Change cause', o.metadata.annotations?.['kubernetes.io/change-cause']);
}

function strategyText(
  s: { type?: string; rollingUpdate?: { maxSurge?: unknown; maxUnavailable?: unknown; partition?: number } } | undefined,
): string {
  if (!s?.type) return '';
  const r = s.rollingUpdate ?? {};
  const parts = [
    r.maxSurge !== undefined && `max surge ${r.maxSurge}`,
    r.maxUnavailable !== undefined && `max unavailable ${r.maxUnavailable}`,
    r.partition && `partition ${r.partition}`,
  ];
  const details = parts.filter(Boolean).join(', ');
  return details ? `${s.type} (${details})` : s.type;
}

function serviceFacts(o: KubeObject, add: Add): void {
  const { spec = {}, status = {} } = o;
  add('Type', spec.type);
  add('Cluster IP', spec.clusterIPs ?? spec.clusterIP);
  add('External name', spec.externalName);
  add('Addresses', [
    ...(status.loadBalancer?.ingress ?? []).map((i: { ip?: string; hostname?: string }) => i.ip ?? i.hostname),
    ...(spec.externalIPs ?? []),
  ]);
  add('Selector', labelsText(spec.selector) || 'none: its endpoints are made by somebody else');
  add('Session affinity', spec.sessionAffinity === 'ClientIP' ? 'ClientIP' : undefined);
  add('DNS name', `${o.metadata.name}.${o.metadata.namespace}.svc`);
}

function nodeFacts(o: KubeObject, add: Add): void {
  const { status = {}, spec = {} } = o;
  const info = status.nodeInfo ?? {};
  add(
    'Addresses',
    (status.addresses ?? []).map((a: { type: string; address: string }) => `${a.address} (${a.type})`),
  );
  add('Kubelet', info.kubeletVersion);
  add('Runtime', info.containerRuntimeVersion);
  add('System', [info.osImage, info.kernelVersion, info.architecture]);
  add(
    'Allocatable',
    ['cpu', 'memory', 'pods', 'ephemeral-storage'].filter((r) => status.allocatable?.[r]).map((r) => `${r} ${status.allocatable[r]}`),
  );
  add('Pod CIDR', spec.podCIDRs ?? spec.podCIDR);
  add(
    'Taints',
    (spec.taints ?? []).map((t: { key: string; value?: string; effect: string }) => `${t.key}${t.value ? '=' + t.value : ''}:${t.effect}`),
  );
}

function bindingFacts(o: KubeObject, add: Add): void {
  add(
    'Role',
    `${o.roleRef?.kind} ${o.roleRef?.name}`,
    link(o.roleRef?.kind, o.roleRef?.name, o.roleRef?.kind === 'Role' ? o.metadata.namespace : undefined),
  );
  for (const s of o.subjects ?? []) {
    add(
      'Subject',
      `${s.kind} ${s.namespace ? s.namespace + '/' : ''}${s.name}`,
      s.kind === 'ServiceAccount' ? link(s.kind, s.name, s.namespace) : undefined,
    );
  }
}

function roleFacts(o: KubeObject, add: Add): void {
  for (const rule of o.rules ?? []) {
    const what = [...(rule.resources ?? []), ...(rule.nonResourceURLs ?? [])].join(', ');
    add('Rule', `${(rule.verbs ?? []).join(', ')} ${what}${rule.resourceNames ? ` named ${rule.resourceNames.join(', ')}` : ''}`);
  }
}

interface Metric {
  type: string;
  resource?: { name: string; target: { averageUtilization?: number; averageValue?: string } };
}

function metricText(m: Metric): string {
  if (!m.resource) return m.type;
  const { name, target } = m.resource;
  return `${name}: ${target.averageUtilization !== undefined ? `${target.averageUtilization}% of the request` : target.averageValue}`;
}

/** otherFacts are the plain values at the top of a custom object's spec. */
function otherFacts(o: KubeObject, add: Add): void {
  for (const [key, value] of Object.entries((o.spec ?? {}) as Record<string, unknown>).slice(0, 20)) {
    if (['string', 'number', 'boolean'].includes(typeof value)) add(key, value);
  }
}

export function labelsText(labels: Record<string, string> | undefined): string {
  return Object.entries(labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}

function seconds(n: number | undefined): string | undefined {
  return n === undefined ? undefined : `${n} s`;
}
