import { useMemo } from 'preact/hooks';
import type { KubeObject } from '../api';
import { Curve, type Point } from '../charts';
import { type Sample, useNodeMetrics, usePodMetrics, useTraffic } from '../metrics';
import { hrefOfObject } from '../router';
import { bytesText, coresText, quantity, rateText } from '../units';
import { podsOf, type Related } from './related';

type Resources = { cpu?: string; memory?: string };

/** MetricsView shows CPU and memory of an object: of all its pods together, and of each. */
export function MetricsView({ object, related }: { object: KubeObject; related: Related }) {
  const byPod = usePodMetrics();
  const byNode = useNodeMetrics();
  const pods = useMemo(() => podsOf(object, related), [object, related]);
  const node = object.kind === 'Node';
  const samples = node ? (byNode.get(object.metadata.name) ?? []) : total(pods.map((p) => byPod.get(keyOf(p)) ?? []));
  const requests = node ? sumOf(pods, 'requests') : sumOf(pods, 'requests');
  const limits = node ? allocatable(object) : sumOf(pods, 'limits');
  return (
    <section class="metrics" aria-label="Metrics">
      {!samples.length && <p class="faint">No measurements yet. The first one comes within a minute of a container's start.</p>}
      <div class="curves">
        <Usage title="CPU" points={pointsOf(samples, 'cpu')} format={coresText} request={requests.cpu} limit={limits.cpu} node={node} />
        <Usage title="Memory" points={pointsOf(samples, 'memory')} format={bytesText} request={requests.memory} limit={limits.memory} node={node} />
      </div>
      {(pods.length > 1 || node) && <PodTable pods={pods} byPod={byPod} />}
    </section>
  );
}

interface UsageProps {
  title: string;
  points: Point[];
  format(value: number): string;
  request: number;
  limit: number;
  node: boolean;
}

function Usage({ title, points, format, request, limit, node }: UsageProps) {
  const now = points[points.length - 1]?.value;
  const share = (of: number) => (now !== undefined && of > 0 ? ` (${Math.round((now / of) * 100)}%)` : '');
  return (
    <div class="usage">
      <Curve points={points} format={format} label={title} limit={limit || request || undefined} />
      <dl class="usage-facts">
        <div>
          <dt>Requested</dt>
          <dd>{request ? format(request) + (node ? '' : share(request)) : 'nothing'}</dd>
        </div>
        <div>
          <dt>{node ? 'Allocatable' : 'Limit'}</dt>
          <dd>{limit ? format(limit) + share(limit) : 'none'}</dd>
        </div>
      </dl>
    </div>
  );
}

function PodTable({ pods, byPod }: { pods: KubeObject[]; byPod: Map<string, Sample[]> }) {
  const traffic = useTraffic();
  const rows = pods.map((pod) => ({ pod, samples: byPod.get(keyOf(pod)) ?? [], rate: traffic.get(keyOf(pod)) }));
  const last = (samples: Sample[]) => samples[samples.length - 1];
  rows.sort((a, b) => (last(b.samples)?.cpu ?? -1) - (last(a.samples)?.cpu ?? -1));
  return (
    <table class="pod-metrics">
      <thead>
        <tr>
          <th scope="col">Pod</th>
          <th scope="col">CPU</th>
          <th scope="col" class="number">
            Now
          </th>
          <th scope="col">Memory</th>
          <th scope="col" class="number">
            Now
          </th>
          <th scope="col" class="number">
            Received
          </th>
          <th scope="col" class="number">
            Sent
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.slice(0, 200).map(({ pod, samples, rate }) => (
          <tr key={pod.metadata.uid}>
            <td>
              <a href={hrefOfObject(pod, 'metrics')}>{pod.metadata.name}</a>
            </td>
            <td>
              <Curve small points={pointsOf(samples, 'cpu')} format={coresText} label={`CPU of ${pod.metadata.name}`} />
            </td>
            <td class="number">{last(samples) ? coresText(last(samples)!.cpu) : '–'}</td>
            <td>
              <Curve small points={pointsOf(samples, 'memory')} format={bytesText} label={`Memory of ${pod.metadata.name}`} />
            </td>
            <td class="number">{last(samples) ? bytesText(last(samples)!.memory) : '–'}</td>
            <td class="number">{rate ? rateText(rate.rx) : '–'}</td>
            <td class="number">{rate ? rateText(rate.tx) : '–'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function keyOf(pod: KubeObject): string {
  return `${pod.metadata.namespace}/${pod.metadata.name}`;
}

function pointsOf(samples: Sample[], field: 'cpu' | 'memory'): Point[] {
  return samples.map((s) => ({ at: s.at, value: s[field] }));
}

/** total adds up the samples of several pods: those of one answer have the same time. */
function total(all: Sample[][]): Sample[] {
  if (all.length === 1) return all[0]!;
  const sums = new Map<number, Sample>();
  for (const sample of all.flat()) {
    const sum = sums.get(sample.at);
    if (sum) {
      sum.cpu += sample.cpu;
      sum.memory += sample.memory;
    } else sums.set(sample.at, { ...sample });
  }
  return [...sums.values()].sort((a, b) => a.at - b.at);
}

/** sumOf adds up what the containers of running pods request, or may use at most. One container without a limit has none. */
function sumOf(pods: KubeObject[], field: 'requests' | 'limits'): { cpu: number; memory: number } {
  const sum = { cpu: 0, memory: 0 };
  const unlimited = { cpu: false, memory: false };
  for (const pod of pods) {
    if (['Succeeded', 'Failed'].includes(pod.status?.phase)) continue;
    for (const c of (pod.spec?.containers ?? []) as { resources?: Record<string, Resources> }[]) {
      for (const name of ['cpu', 'memory'] as const) {
        const value = c.resources?.[field]?.[name];
        if (value) sum[name] += quantity(value);
        else unlimited[name] = true;
      }
    }
  }
  if (field === 'requests') return sum;
  return { cpu: unlimited.cpu ? 0 : sum.cpu, memory: unlimited.memory ? 0 : sum.memory };
}

function allocatable(node: KubeObject): { cpu: number; memory: number } {
  const a: Resources = node.status?.allocatable ?? {};
  return { cpu: quantity(a.cpu), memory: quantity(a.memory) };
}
