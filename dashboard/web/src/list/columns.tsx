// The columns of each kind, beside the name, the namespace and the age that all of them have.

import type { KubeObject } from '../api';
import { healthOf } from '../health';
import { linksOf } from '../links';
import { OpenSign } from '../map/cards';
import { backendsOf } from '../object/backends';
import { readyOf, restartsOf } from '../podhealth';
import { ageOf, bytesText, coresText, quantity } from '../units';
import { Age, Badge } from '../ui';
import { type Column, sampleOf } from './column';

const status: Column = {
  title: 'Status',
  width: 18,
  value: (o) => healthOf(o).text,
  show: (o) => {
    const { health, text, why } = healthOf(o);
    return text ? <Badge health={health} text={text} title={why ?? text} /> : null;
  },
};

const cpu: Column = { title: 'CPU', width: 8, number: true, value: (o, c) => sampleOf(o, c)?.cpu, show: (o, c) => shown(sampleOf(o, c)?.cpu, coresText) };
const memory: Column = { title: 'Memory', width: 10, number: true, value: (o, c) => sampleOf(o, c)?.memory, show: (o, c) => shown(sampleOf(o, c)?.memory, bytesText) };

function shown(n: number | undefined, format: (n: number) => string): string {
  return n === undefined ? '' : format(n);
}

function text(title: string, width: number, value: Column['value'], more: Partial<Column> = {}): Column {
  return { title, width, value, ...more };
}

function count(title: string, width: number, value: Column['value']): Column {
  return { title, width, value, number: true };
}

function time(title: string, value: (o: KubeObject) => string | undefined): Column {
  return { title, width: 12, value: (o) => -Date.parse(value(o) ?? ''), show: (o) => <Age time={value(o)} /> };
}

const images = text('Images', 28, (o) => (o.spec?.template ?? o.spec?.jobTemplate?.spec?.template)?.spec?.containers?.map((c: { image: string }) => c.image).join(', '), { code: true });

const links: Column = {
  title: 'Open',
  width: 26,
  value: (o) => linksOf(o).map((l) => l.text).join(', '),
  show: (o) =>
    linksOf(o).map((l) =>
      l.href ? (
        <a key={l.text} class="open" href={l.href} target="_blank" rel="noopener noreferrer" title={`Open ${l.href}`}>
          {l.text}
          <OpenSign />
        </a>
      ) : (
        <span key={l.text} class="open">
          {l.text}
        </span>
      ),
    ),
};

const backends = text('Services', 24, (o) => [...new Set(backendsOf(o).map((b) => `${b.service}${b.port ? ':' + b.port : ''}`))].join(', '));
const keys = count('Keys', 7, (o) => Object.keys({ ...o.data, ...o.binaryData }).length);
const data = text('Names of the data', 40, (o) => Object.keys({ ...o.data, ...o.binaryData }).join(', '));
const labels = text('Pods with', 30, (o) => selectorText(o.spec?.selector ?? o.spec?.podSelector));
const role = text('Role', 30, (o) => `${o.roleRef?.kind}/${o.roleRef?.name}`);
const subjects = text('Subjects', 40, (o) => o.subjects?.map((s: { kind: string; name: string }) => `${s.kind}/${s.name}`).join(', '));
const rules = count('Rules', 7, (o) => o.rules?.length ?? 0);

function selectorText(s: { matchLabels?: Record<string, string>; matchExpressions?: { key: string; operator: string }[] } | undefined): string {
  const pairs = Object.entries(s?.matchLabels ?? {}).map((pair) => pair.join('='));
  return [...pairs, ...(s?.matchExpressions ?? []).map((e) => `${e.key} ${e.operator}`)].join(', ') || 'all';
}

function jobDuration(o: KubeObject): string {
  if (!o.status?.startTime) return '';
  return ageOf(o.status.startTime, o.status.completionTime ? Date.parse(o.status.completionTime) : Date.now());
}

function rolesOf(o: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  return Object.keys(o.metadata.labels ?? {}).filter((k) => k.startsWith(prefix)).map((k) => k.slice(prefix.length)).join(', ');
}

function used(o: KubeObject): string {
  const [hard, now] = [o.status?.hard ?? {}, o.status?.used ?? {}];
  return Object.keys(hard).map((k) => `${k}: ${now[k] ?? 0}/${hard[k]}`).join(', ');
}

const quantityOf = (title: string, read: (o: KubeObject) => string | undefined): Column => ({ title, width: 10, number: true, value: (o) => quantity(read(o)), show: (o) => read(o) });

/** By kind; a kind that is not here has its status and what its definition prints. */
export const columnsOf: Record<string, Column[]> = {
  Pod: [
    text('Ready', 7, readyOf),
    status,
    count('Restarts', 9, restartsOf),
    cpu,
    memory,
    text('Node', 13, (o) => o.spec?.nodeName),
    text('IP', 13, (o) => o.status?.podIP, { code: true }),
  ],
  Deployment: [status, count('Up to date', 11, (o) => o.status?.updatedReplicas ?? 0), count('Available', 10, (o) => o.status?.availableReplicas ?? 0), images],
  StatefulSet: [status, text('Service', 18, (o) => o.spec?.serviceName), images],
  DaemonSet: [status, count('Up to date', 11, (o) => o.status?.updatedNumberScheduled ?? 0), images],
  ReplicaSet: [status, text('Owner', 24, (o) => o.metadata.ownerReferences?.[0]?.name), images],
  ReplicationController: [status, images],
  Job: [status, text('Duration', 10, jobDuration), images],
  CronJob: [text('Schedule', 16, (o) => o.spec?.schedule, { code: true }), status, time('Last run', (o) => o.status?.lastScheduleTime), images],
  HorizontalPodAutoscaler: [text('Target', 26, (o) => `${o.spec?.scaleTargetRef?.kind}/${o.spec?.scaleTargetRef?.name}`), status],
  PodDisruptionBudget: [status, count('Disruptions allowed', 19, (o) => o.status?.disruptionsAllowed ?? 0), labels],
  Service: [
    text('Type', 13, (o) => healthOf(o).text),
    text('Cluster IP', 15, (o) => o.spec?.clusterIP, { code: true }),
    text('Ports', 24, (o) => o.spec?.ports?.map((p: { port: number; protocol: string }) => `${p.port}/${p.protocol}`).join(', '), { code: true }),
    { ...links, width: 14 },
    text('Selects', 24, (o) => Object.entries(o.spec?.selector ?? {}).map((pair) => pair.join('=')).join(', ')),
  ],
  Ingress: [status, links, backends],
  HTTPRoute: [status, links, backends],
  GRPCRoute: [status, links, backends],
  TLSRoute: [status, links, backends],
  Gateway: [status, text('Class', 18, (o) => o.spec?.gatewayClassName), text('Addresses', 24, (o) => o.status?.addresses?.map((a: { value: string }) => a.value).join(', '), { code: true })],
  NetworkPolicy: [labels, text('Rules for', 16, (o) => o.spec?.policyTypes?.join(', '))],
  EndpointSlice: [
    text('Service', 24, (o) => o.metadata.labels?.['kubernetes.io/service-name']),
    count('Endpoints', 10, (o) => o.endpoints?.length ?? 0),
    text('Ports', 16, (o) => o.ports?.map((p: { port: number }) => p.port).join(', ')),
  ],
  IngressClass: [text('Controller', 30, (o) => o.spec?.controller)],
  ConfigMap: [keys, data],
  Secret: [text('Type', 32, (o) => o.type), keys, data],
  ResourceQuota: [text('Used', 50, used)],
  LimitRange: [count('Limits', 8, (o) => o.spec?.limits?.length ?? 0)],
  PersistentVolumeClaim: [
    status,
    quantityOf('Size', (o) => o.status?.capacity?.storage ?? o.spec?.resources?.requests?.storage),
    text('Class', 16, (o) => o.spec?.storageClassName),
    text('Access', 16, (o) => o.spec?.accessModes?.join(', ')),
    text('Volume', 24, (o) => o.spec?.volumeName),
  ],
  PersistentVolume: [
    status,
    quantityOf('Size', (o) => o.spec?.capacity?.storage),
    text('Claim', 30, (o) => o.spec?.claimRef && `${o.spec.claimRef.namespace}/${o.spec.claimRef.name}`),
    text('Class', 16, (o) => o.spec?.storageClassName),
    text('Then', 10, (o) => o.spec?.persistentVolumeReclaimPolicy),
  ],
  StorageClass: [text('Provisioner', 30, (o) => o.provisioner), text('Then', 10, (o) => o.reclaimPolicy), text('Binds', 22, (o) => o.volumeBindingMode)],
  ServiceAccount: [],
  Role: [rules],
  ClusterRole: [rules],
  RoleBinding: [role, subjects],
  ClusterRoleBinding: [role, subjects],
  Node: [
    status,
    text('Roles', 16, rolesOf),
    cpu,
    memory,
    text('IP', 16, (o) => o.status?.addresses?.find((a: { type: string }) => a.type === 'InternalIP')?.address, { code: true }),
    text('Version', 22, (o) => o.status?.nodeInfo?.kubeletVersion),
  ],
  Namespace: [status],
  PriorityClass: [count('Value', 12, (o) => o.value), text('Default', 8, (o) => (o.globalDefault ? 'yes' : ''))],
  CustomResourceDefinition: [status, text('Kind', 22, (o) => o.spec?.names?.kind), text('Group', 28, (o) => o.spec?.group), text('Scope', 12, (o) => o.spec?.scope)],
};

const name: Column = { title: 'Name', width: 0, value: (o) => o.metadata.name };
const namespace: Column = { title: 'Namespace', width: 15, value: (o) => o.metadata.namespace };
export const age: Column = { title: 'Age', width: 8, value: (o) => -Date.parse(o.metadata.creationTimestamp), show: (o) => <Age time={o.metadata.creationTimestamp} /> };

/** allColumns puts the columns of a kind between those that all kinds have. */
export function allColumns(own: Column[] | undefined, withNamespace: boolean): Column[] {
  return [name, ...(withNamespace ? [namespace] : []), ...(own ?? [status]), age];
}
