import { useMemo } from 'preact/hooks';
import type { KubeObject } from '../api';
import { Curve } from '../charts';
import { healthOf } from '../health';
import { type Sample, useNodeMetrics } from '../metrics';
import { hrefOfObject } from '../router';
import { useKind } from '../store';
import { Badge } from '../ui';
import { bytesText, coresText, quantity } from '../units';

/** ClusterStrip shows the nodes: how they are, what they use, how many pods they run. */
export function ClusterStrip({ pods }: { pods: Map<string, KubeObject> }) {
  const { objects: nodes } = useKind('Node');
  const metrics = useNodeMetrics();
  const counts = useMemo(() => {
    const n = new Map<string, number>();
    for (const p of pods.values()) {
      const ended = p.status?.phase === 'Succeeded' || p.status?.phase === 'Failed';
      if (!ended && p.spec?.nodeName) n.set(p.spec.nodeName, (n.get(p.spec.nodeName) ?? 0) + 1);
    }
    return n;
  }, [pods]);
  if (!nodes.size) return null;
  const sorted = [...nodes.values()].sort((a, b) => a.metadata.name.localeCompare(b.metadata.name, 'en', { numeric: true }));
  return (
    <section class="cluster" aria-label="Nodes">
      {sorted.map((n) => (
        <NodeCard key={n.metadata.uid} node={n} samples={metrics.get(n.metadata.name)} pods={counts.get(n.metadata.name) ?? 0} />
      ))}
    </section>
  );
}

function NodeCard({ node, samples, pods }: { node: KubeObject; samples?: Sample[]; pods: number }) {
  const { health, text, why } = healthOf(node);
  const capacity = node.status?.capacity ?? {};
  const most: string = node.status?.allocatable?.pods ?? capacity.pods ?? '';
  return (
    <div class="node">
      <div class="node-head">
        <a class="node-name" href={hrefOfObject(node)}>
          {node.metadata.name}
        </a>
        <Badge health={health} text={text} title={why} />
        <span class="faint">
          {pods} {most ? `of ${most} ` : ''}pods
        </span>
      </div>
      {samples && (
        <div class="node-curves">
          <Usage label="CPU" field="cpu" samples={samples} capacity={quantity(capacity.cpu)} format={coresText} unit=" cores" />
          <Usage label="Memory" field="memory" samples={samples} capacity={quantity(capacity.memory)} format={bytesText} unit="" />
        </div>
      )}
    </div>
  );
}

interface UsageProps {
  label: string;
  field: 'cpu' | 'memory';
  samples: Sample[];
  capacity: number;
  format: (value: number) => string;
  unit: string;
}

function Usage({ label, field, samples, capacity, format, unit }: UsageProps) {
  const points = useMemo(() => samples.map((s) => ({ at: s.at, value: s[field] })), [samples, field]);
  const now = points[points.length - 1]?.value ?? 0;
  return (
    <div class="node-meter">
      <div class="node-meter-text">
        <span class="faint">{label}</span> <b>{format(now)}</b>
        <span class="faint">{capacity ? ` of ${format(capacity)}${unit}` : ''}</span>
      </div>
      <Curve small points={points} format={format} label={`${label} of the node`} limit={capacity || undefined} />
    </div>
  );
}
