// The map as data: what leads to what, cut into bands that have nothing in common. Nothing here knows how it is drawn.

import type { KubeObject } from '../api';
import { type Health, healthOf } from '../health';
import { backendsOf } from '../object/backends';
import { type Found, PodIndex, workloadsOf } from './workloads';

export interface EntryNode {
  id: string;
  object: KubeObject;
  problem?: string;
}
export interface ServiceNode {
  id: string;
  object?: KubeObject; // undefined: something leads to a Service that does not exist
  namespace: string;
  name: string;
  problem?: string;
  health: Health;
}
export interface WorkloadNode {
  id: string;
  kind: string;
  namespace: string;
  name: string;
  object?: KubeObject; // undefined: the page does not watch its kind, or it is a group of pods that have none
  pods: KubeObject[];
  health: Health;
  text: string;
  why?: string;
}
export interface Edge {
  from: string;
  to: string;
  broken?: boolean;
  pods?: KubeObject[]; // those that the traffic reaches, from a Service to a workload
}
export interface Band {
  id: string;
  namespace: string;
  entries: EntryNode[];
  services: ServiceNode[];
  workloads: WorkloadNode[];
  edges: Edge[];
  health: Health;
  inputs: unknown[]; // the same inputs, the same band
}
export interface NamespaceMap {
  namespace: string;
  bands: Band[];
  pods: number;
  unwell: number; // bands with something failed
}

export interface MapInput {
  entries: KubeObject[];
  services: KubeObject[];
  workloads: KubeObject[];
  pods: KubeObject[];
  servicesKnown: boolean; // otherwise none is called missing
  podsKnown: boolean; // otherwise no Service is said to select none
}

export function buildMap(input: MapInput): NamespaceMap[] {
  const graph = new Graph();
  const pods = new PodIndex(input.pods);
  const services = new Map(input.services.filter(isShown).map((s) => [key(s), s]));
  const selected = new Map([...services].map(([id, s]) => [id, pods.select(s.metadata.namespace!, s.spec?.selector)]));
  const found = workloadsOf(input.workloads, input.pods, selected);
  for (const w of found.workloads) graph.add(w.id, { workload: w });
  for (const [id, s] of services) addService(graph, id, s, selected.get(id)!, found, input.podsKnown);
  for (const e of input.entries) addEntry(graph, e, services, input.servicesKnown);
  return byNamespace(graph.bands());
}

function key(o: KubeObject): string {
  return `Service/${o.metadata.namespace}/${o.metadata.name}`;
}

/** isShown leaves out the API server's own Service, which every cluster has. */
function isShown(s: KubeObject): boolean {
  return !(s.metadata.namespace === 'default' && s.metadata.name === 'kubernetes');
}

function addService(graph: Graph, id: string, s: KubeObject, pods: KubeObject[], { workloads, ofPod }: Found, podsKnown: boolean): void {
  const reached = new Map<string, KubeObject[]>();
  for (const p of pods) {
    const w = ofPod.get(p.metadata.uid);
    if (!w) continue;
    const list = reached.get(w.id);
    if (list) list.push(p);
    else reached.set(w.id, [p]);
  }
  for (const w of workloads) {
    if (!w.pods.length && !reached.has(w.id) && w.namespace === s.metadata.namespace && selectsTemplate(s, w)) reached.set(w.id, []);
  }
  const { problem, health } = podsKnown ? judgeService(s, pods, reached.size) : { problem: undefined, health: 'idle' as const };
  graph.add(id, { service: { id, object: s, namespace: s.metadata.namespace!, name: s.metadata.name, problem, health } });
  for (const [to, found] of reached) graph.link({ from: id, to, pods: found });
}

function selectsTemplate(s: KubeObject, w: WorkloadNode): boolean {
  const labels: Record<string, string> = w.object?.spec?.template?.metadata?.labels ?? {};
  const selector: [string, string][] = Object.entries(s.spec?.selector ?? {});
  return selector.length > 0 && selector.every(([k, v]) => labels[k] === v);
}

function judgeService(s: KubeObject, pods: KubeObject[], reached: number): { problem?: string; health: Health } {
  if (s.spec?.type === 'ExternalName') return { health: 'ok' };
  const selector: [string, string][] = Object.entries(s.spec?.selector ?? {});
  if (!selector.length) return { health: 'idle' };
  if (!reached) return { health: 'failed', problem: `Selects no pods: ${selector.map((pair) => pair.join('=')).join(', ')}` };
  if (!pods.length) return { health: 'idle', problem: 'No pods' };
  const ready = pods.filter((p) => healthOf(p).health === 'ok').length;
  if (ready) return { health: 'ok' };
  const failed = pods.some((p) => healthOf(p).health === 'failed');
  return { health: failed ? 'failed' : 'progressing', problem: pods.length === 1 ? 'Its pod is not ready' : `None of its ${pods.length} pods is ready` };
}

function addEntry(graph: Graph, e: KubeObject, services: Map<string, KubeObject>, servicesKnown: boolean): void {
  const id = `${e.kind}/${e.metadata.namespace}/${e.metadata.name}`;
  const entry: EntryNode = { id, object: e };
  graph.add(id, { entry });
  const problems = new Set<string>();
  for (const b of backendsOf(e)) {
    const namespace = b.namespace ?? e.metadata.namespace!;
    const to = `Service/${namespace}/${b.service}`;
    const found = services.get(to);
    if (!found && !servicesKnown) continue;
    if (!found) graph.add(to, { service: { id: to, namespace, name: b.service, health: 'failed', problem: 'Does not exist' } });
    const portMissing = found && !hasPort(found, b.port);
    if (!found) problems.add(`Service ${b.service} does not exist`);
    else if (portMissing) problems.add(`Service ${b.service} has no port ${b.port}`);
    graph.link({ from: id, to, broken: !found || portMissing });
  }
  if (problems.size) entry.problem = [...problems].join('; ');
}

function hasPort(s: KubeObject, port: string): boolean {
  const ports: { port: number; name?: string }[] = s.spec?.ports ?? [];
  return port === '' || ports.some((p) => String(p.port) === port || p.name === port);
}

interface Node {
  entry?: EntryNode;
  service?: ServiceNode;
  workload?: WorkloadNode;
}

/** Graph finds the bands: sets of nodes that are joined by edges. */
class Graph {
  private nodes = new Map<string, Node>();
  private parent = new Map<string, string>();
  private edges = new Map<string, Edge>();

  add(id: string, node: Node): void {
    if (!this.nodes.has(id)) this.parent.set(id, id);
    this.nodes.set(id, node);
  }

  link(e: Edge): void {
    const id = `${e.from} ${e.to}`;
    const before = this.edges.get(id);
    this.edges.set(id, before ? { ...before, broken: before.broken || e.broken } : e);
    this.parent.set(this.root(e.from), this.root(e.to));
  }

  bands(): Band[] {
    const bands = new Map<string, Band>();
    for (const [id, n] of this.nodes) {
      const band = this.bandOf(id, bands);
      if (n.entry) band.entries.push(n.entry);
      if (n.service) band.services.push(n.service);
      if (n.workload) band.workloads.push(n.workload);
    }
    for (const e of this.edges.values()) this.bandOf(e.from, bands).edges.push(e);
    return [...bands.values()].map(finish);
  }

  private bandOf(id: string, bands: Map<string, Band>): Band {
    const root = this.root(id);
    let band = bands.get(root);
    if (!band) {
      band = { id: '', namespace: '', entries: [], services: [], workloads: [], edges: [], health: 'idle', inputs: [] };
      bands.set(root, band);
    }
    return band;
  }

  private root(id: string): string {
    let at = id;
    for (let up = this.parent.get(at)!; up !== at; up = this.parent.get(at)!) at = up;
    for (let next = id; next !== at; ) {
      const up = this.parent.get(next)!;
      this.parent.set(next, at);
      next = up;
    }
    return at;
  }
}

const collator = new Intl.Collator('en', { numeric: true });

/** finish puts the nodes of a band into an order with few crossings, and says how the band is. */
function finish(band: Band): Band {
  const rank = new Map<string, number>();
  const reached = (id: string) => Math.min(...band.edges.filter((e) => e.to === id).map((e) => rank.get(e.from) ?? Infinity), Infinity);
  const order = <T extends { id: string }>(list: T[], name: (n: T) => string) => {
    list.sort((a, b) => collator.compare(name(a), name(b)));
    if (band.edges.length) {
      const at = new Map(list.map((n) => [n.id, reached(n.id)]));
      list.sort((a, b) => (at.get(a.id)! === at.get(b.id)! ? 0 : at.get(a.id)! - at.get(b.id)!));
    }
    list.forEach((n, i) => rank.set(n.id, i));
  };
  order(band.entries, (e) => e.object.metadata.name);
  order(band.services, (s) => s.name);
  order(band.workloads, (w) => w.name);
  const first = band.entries[0]?.id ?? band.services[0]?.id ?? band.workloads[0]!.id;
  const namespace = band.services[0]?.namespace ?? band.workloads[0]?.namespace ?? band.entries[0]!.object.metadata.namespace!;
  return { ...band, id: first, namespace, health: healthOfBand(band), inputs: inputsOf(band) };
}

function healthOfBand(b: Band): Health {
  const all: Health[] = [
    ...b.entries.map((e): Health => (e.problem || healthOf(e.object).health === 'failed' ? 'failed' : 'ok')),
    ...b.services.map((s) => s.health),
    ...b.workloads.map((w) => w.health),
  ];
  return (['failed', 'progressing', 'ok'] as const).find((h) => all.includes(h)) ?? 'idle';
}

function inputsOf(b: Band): unknown[] {
  return [
    ...b.entries.flatMap((e) => [e.object, e.problem]),
    ...b.services.flatMap((s) => [s.id, s.object, s.problem]),
    ...b.workloads.flatMap((w) => [w.id, w.object, w.text, w.why, ...w.pods]),
    ...b.edges.flatMap((e) => [e.from, e.to, e.broken, e.pods?.length]),
  ];
}

function byNamespace(bands: Band[]): NamespaceMap[] {
  const maps = new Map<string, NamespaceMap>();
  for (const b of bands) {
    let m = maps.get(b.namespace);
    if (!m) maps.set(b.namespace, (m = { namespace: b.namespace, bands: [], pods: 0, unwell: 0 }));
    m.bands.push(b);
    m.pods += b.workloads.reduce((n, w) => n + w.pods.length, 0);
    if (b.health === 'failed') m.unwell++;
  }
  const columns = (b: Band) => (b.entries.length ? 0 : b.services.length ? 1 : 2);
  for (const m of maps.values()) m.bands.sort((a, b) => columns(a) - columns(b) || collator.compare(a.id, b.id));
  return [...maps.values()].sort((a, b) => collator.compare(a.namespace, b.namespace));
}
