// The map: Ingresses and routes lead to Services, Services to workloads, workloads to pods. What belongs together is one band.

import { useMemo, useState } from 'preact/hooks';
import { type KubeObject, session } from './api';
import { BandView } from './map/band';
import { ClusterStrip } from './map/cluster';
import { type Band, buildMap, type NamespaceMap } from './map/model';
import { linksOf } from './links';
import { type Traffic, useTraffic } from './metrics';
import { hrefOf } from './router';
import { type Kind, useKind } from './store';
import { FilterBox } from './filterbox';
import { Button, Command, Empty, Mark } from './ui';

const entryKinds = ['Ingress', 'HTTPRoute', 'GRPCRoute', 'TLSRoute'] as const;
const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'ReplicationController', 'Job', 'CronJob'] as const;

export function MapView({ namespace }: { namespace?: string }) {
  const entries = entryKinds.map((k) => useKind(k));
  const workloads = workloadKinds.map((k) => useKind(k));
  const services = useKind('Service');
  const pods = useKind('Pod');
  const traffic = useTraffic();
  const [filter, setFilter] = useState('');
  const [unwellOnly, setUnwellOnly] = useState(false);
  const watched = [...entries, ...workloads, services, pods];
  const maps = useMemo(() => {
    const of = (kinds: Kind[]) => kinds.flatMap((k) => [...k.objects.values()].filter((o) => namespace === undefined || o.metadata.namespace === namespace));
    return buildMap({ entries: of(entries), workloads: of(workloads), services: of([services]), pods: of([pods]), servicesKnown: services.ready, podsKnown: pods.ready });
  }, [namespace, services.ready, pods.ready, ...watched.map((k) => k.objects)]);
  const complete = watched.every((k) => k.ready || k.denied);
  const shown = useMemo(() => (complete ? filtered(maps, filter, unwellOnly) : []), [maps, filter, unwellOnly, complete]);
  const unwell = maps.reduce((n, m) => n + m.unwell, 0);
  return (
    <div class="view map">
      <h1 class="visually-hidden">Map of {namespace ?? 'all namespaces'}</h1>
      <ClusterStrip pods={pods.objects} />
      {complete && maps.length > 0 && (
        <div class="toolbar">
          <FilterBox value={filter} onChange={setFilter} label="Filter the map" placeholder="Filter by name or host" />
          {(unwell > 0 || unwellOnly) && (
            <Button onClick={() => setUnwellOnly(!unwellOnly)} pressed={unwellOnly} class="switch">
              <Mark health="failed" /> {unwell} not well
            </Button>
          )}
          {pods.denied && <span class="faint">You may not list pods.</span>}
          {services.denied && <span class="faint">You may not list Services.</span>}
          <Legend />
        </div>
      )}
      {shown.map((m) => (
        <Namespace key={m.namespace} map={m} alone={namespace !== undefined} traffic={traffic} />
      ))}
      {complete && !maps.length && <NothingRuns namespace={namespace} denied={pods.denied && services.denied} />}
      {complete && maps.length > 0 && !shown.length && <Empty title={unwellOnly ? 'Everything is well.' : `Nothing on the map has ${filter} in its name.`} />}
      {!complete && <p class="loading">Reading what runs…</p>}
    </div>
  );
}

function Legend() {
  return (
    <span class="legend faint" aria-hidden="true">
      <span>
        <i class="square ok" /> ready
      </span>
      <span>
        <i class="square progressing" /> not ready
      </span>
      <span>
        <i class="square failed" /> failed
      </span>
      <span>
        <i class="square idle" /> ended
      </span>
    </span>
  );
}

function NothingRuns({ namespace, denied }: { namespace?: string; denied: boolean }) {
  const flag = namespace && namespace !== 'default' ? ` -n ${namespace}` : '';
  if (denied) {
    return (
      <Empty title={namespace ? `You may not see what runs in ${namespace}.` : 'You may not see what runs in all namespaces.'}>
        <p>{namespace ? 'Press n and choose another namespace.' : 'Press n and choose a namespace.'}</p>
      </Empty>
    );
  }
  return (
    <Empty title={namespace ? `Nothing runs in ${namespace} yet.` : 'Nothing runs yet.'}>
      <p>Apply a manifest, or start an image:</p>
      <Command text={`${session.program}${flag} apply -f app.yaml`} />
      <Command text={`${session.program}${flag} create deployment web --image=nginx --port=80`} />
    </Empty>
  );
}

function Namespace({ map, alone, traffic }: { map: NamespaceMap; alone: boolean; traffic: Map<string, Traffic> }) {
  const columns = [map.bands.some((b) => b.entries.length) && 'with-entries', map.bands.some((b) => b.services.length) && 'with-services'].filter(Boolean).join(' ');
  return (
    <section class="namespace" aria-labelledby={`ns-${map.namespace}`}>
      <header class="namespace-head">
        <h2 id={`ns-${map.namespace}`}>{alone ? map.namespace : <a href={hrefOf({ view: 'map', namespace: map.namespace })}>{map.namespace}</a>}</h2>
        <span class="faint">
          {map.pods} {map.pods === 1 ? 'pod' : 'pods'}
          {map.unwell > 0 && `, ${map.unwell} not well`}
        </span>
      </header>
      {map.bands.map((b) => (
        <BandView key={b.id} band={b} rates={b.workloads.map((w) => rateOf(w.pods, traffic))} columns={columns} />
      ))}
    </section>
  );
}

/** Less than this is what probes and keep-alives make, in bytes a second. */
const quiet = 200;

/** rateOf adds up what the pods receive and send, with two digits: more would be drawn again for nothing. */
function rateOf(pods: KubeObject[], traffic: Map<string, Traffic>): number {
  let rate = 0;
  for (const p of pods) {
    const t = p.spec?.hostNetwork ? undefined : traffic.get(`${p.metadata.namespace}/${p.metadata.name}`);
    if (t) rate += t.rx + t.tx;
  }
  return rate < quiet ? 0 : Number(rate.toPrecision(2));
}

function filtered(maps: NamespaceMap[], filter: string, unwellOnly: boolean): NamespaceMap[] {
  const wanted = filter.trim().toLowerCase();
  if (!wanted && !unwellOnly) return maps;
  const keep = (b: Band) => (!unwellOnly || b.health === 'failed') && (!wanted || textOf(b).includes(wanted));
  return maps.map((m) => ({ ...m, bands: m.bands.filter(keep) })).filter((m) => m.bands.length);
}

function textOf(b: Band): string {
  const entries = b.entries.flatMap((e) => [e.object.metadata.name, ...linksOf(e.object).map((l) => l.text)]);
  const workloads = b.workloads.flatMap((w) => [w.name, w.text, w.why ?? '', ...w.pods.map((p) => p.metadata.name)]);
  return [b.namespace, ...entries, ...b.services.map((s) => s.name), ...workloads].join('\n').toLowerCase();
}
