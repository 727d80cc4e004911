import { Component } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { sameList } from '../equal';
import { EntryCard, type Lit, ServiceCard, WorkloadRow } from './cards';
import type { Band } from './model';
import { Wires } from './wires';

interface BandProps {
  band: Band;
  rates: number[]; // bytes a second of each workload
  columns: string; // which columns the map has: "entries services"
}

/** BandView draws a band again only when something in it has changed: the others stay as they are. */
export class BandView extends Component<BandProps> {
  override shouldComponentUpdate(next: BandProps): boolean {
    const { band, rates, columns } = this.props;
    return next.columns !== columns || !sameList(next.rates, rates) || !sameList(next.band.inputs, band.inputs);
  }

  override render() {
    return <Cards {...this.props} />;
  }
}

function Cards({ band, rates, columns }: BandProps) {
  const frame = useRef<HTMLDivElement>(null);
  const [under, setUnder] = useState<string>();
  const path = useMemo(() => (under === undefined ? undefined : pathThrough(band, under)), [band, under]);
  const lit: Lit = (id) => (path ? (path.has(id) ? 'lit' : 'dim') : '');
  const onOver = (e: Event) => setUnder((e.target as Element).closest<HTMLElement>('[data-id]')?.dataset.id);
  const leave = () => setUnder(undefined);
  const name = band.entries[0]?.object.metadata.name ?? band.services[0]?.name ?? band.workloads[0]?.name;
  return (
    <div class={`band ${columns}`} ref={frame} role="group" aria-label={name} onMouseOver={onOver} onMouseLeave={leave} onFocusIn={onOver} onFocusOut={leave}>
      <Wires frame={frame} band={band} rates={rates} lit={path} />
      <div class="column entries">
        {band.entries.map((n) => (
          <EntryCard key={n.id} node={n} lit={lit} />
        ))}
      </div>
      <div class="column services">
        {band.services.map((n) => (
          <ServiceCard key={n.id} node={n} lit={lit} />
        ))}
      </div>
      <div class="column workloads">
        {band.workloads.map((n, i) => (
          <WorkloadRow key={n.id} node={n} lit={lit} rate={rates[i] ?? 0} />
        ))}
      </div>
    </div>
  );
}

/** pathThrough finds what leads to a node, and what it leads to. */
function pathThrough(band: Band, id: string): Set<string> {
  const found = new Set([id]);
  for (const [from, to] of [['from', 'to'], ['to', 'from']] as const) {
    const next = [id];
    for (let at = next.pop(); at !== undefined; at = next.pop()) {
      for (const e of band.edges) {
        if (e[from] !== at || found.has(e[to])) continue;
        found.add(e[to]);
        next.push(e[to]);
      }
    }
  }
  return found;
}
