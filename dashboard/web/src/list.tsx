// Lists of the objects of a kind, and the list of events.

import { useMemo, useState } from 'preact/hooks';
import { currentPlace } from './router';
import { type KubeObject, session } from './api';
import { FilterBox } from './filterbox';
import { allColumns, columnsOf } from './list/columns';
import type { Column, Context } from './list/column';
import { parseFilter } from './list/filter';
import { printerColumns } from './list/printer';
import { type Order, Table } from './list/table';
import { useNodeMetrics, usePodMetrics } from './metrics';
import { EventList } from './object/events';
import { nameOf, type Resource } from './resources';
import { useKind, useObject, useResource } from './store';
import { Command, Empty } from './ui';

interface ListProps {
  resource: Resource;
  namespace?: string;
}

/** ListView shows the objects of a kind. Only the lists of pods and nodes ask for metrics. */
export function ListView(props: ListProps) {
  if (props.resource.kind === 'Pod' && !props.resource.group) return <PodList {...props} />;
  if (props.resource.kind === 'Node' && !props.resource.group) return <NodeList {...props} />;
  if (!isKnown(props.resource)) return <CustomList {...props} />;
  return <List {...props} columns={columnsOf[props.resource.kind]} context={noMetrics} />;
}

const noMetrics: Context = { metrics: new Map() };

/** isKnown tells a kind of ours from a custom one of the same name. */
function isKnown(r: Resource): boolean {
  return r.kind in columnsOf && r.section !== 'Custom resources';
}

function PodList(props: ListProps) {
  const metrics = usePodMetrics();
  const context = useMemo(() => ({ metrics }), [metrics]);
  return <List {...props} columns={columnsOf.Pod} context={context} />;
}

function NodeList(props: ListProps) {
  const metrics = useNodeMetrics();
  const context = useMemo(() => ({ metrics }), [metrics]);
  return <List {...props} columns={columnsOf.Node} context={context} />;
}

function CustomList(props: ListProps) {
  const definition = useObject('CustomResourceDefinition', undefined, nameOf(props.resource));
  const columns = useMemo(() => printerColumns(definition, props.resource), [definition?.metadata.generation, props.resource]);
  return <List {...props} columns={columns} context={noMetrics} />;
}

function List({ resource, namespace, columns: own, context }: ListProps & { columns?: Column[]; context: Context }) {
  const { objects, ready, denied } = useResource(resource);
  const [filter, setFilter] = useState(() => currentPlace().filter ?? '');
  const [order, setOrder] = useState<Order>({ column: 'Name', descending: false });
  const columns = useMemo(() => allColumns(own, resource.namespaced && namespace === undefined), [own, resource, namespace]);
  const inScope = useMemo(() => [...objects.values()].filter((o) => namespace === undefined || o.metadata.namespace === namespace), [objects, namespace]);
  const rows = useMemo(() => {
    const test = parseFilter(filter);
    const column = columns.find((c) => c.title === order.column) ?? columns[0]!;
    return sorted(test ? inScope.filter(test) : inScope, column, order.descending, context);
  }, [inScope, filter, columns, order, context]);
  return (
    <div class="view list-view">
      <div class="toolbar">
        <h1>{resource.title}</h1>
        <span class="faint count" aria-live="polite">
          {rows.length === inScope.length ? inScope.length : `${rows.length} of ${inScope.length}`}
        </span>
        <span class="spacer" />
        <FilterBox value={filter} onChange={setFilter} label={`Filter ${resource.title.toLowerCase()}`} placeholder="Filter by name, status or key=value" />
      </div>
      {rows.length > 0 && <Table label={resource.title} columns={columns} rows={rows} context={context} order={order} onOrder={setOrder} />}
      {rows.length === 0 && <NoRows resource={resource} namespace={namespace} filter={inScope.length ? filter : ''} state={denied ? 'denied' : ready ? 'ready' : 'loading'} />}
    </div>
  );
}

const collator = new Intl.Collator('en', { numeric: true });

/** sorted puts rows without a value last, and those of the same value in the order of their names. */
function sorted(rows: KubeObject[], column: Column, descending: boolean, context: Context): KubeObject[] {
  const keyed = rows.map((o) => ({ o, key: column.value(o, context) }));
  const sign = descending ? -1 : 1;
  const missing = (k: unknown) => k === undefined || k === '' || Number.isNaN(k);
  keyed.sort((a, b) => {
    if (missing(a.key) !== missing(b.key)) return missing(a.key) ? 1 : -1;
    const by = typeof a.key === 'number' && typeof b.key === 'number' ? a.key - b.key : collator.compare(String(a.key ?? ''), String(b.key ?? ''));
    return sign * by || collator.compare(a.o.metadata.name, b.o.metadata.name);
  });
  return keyed.map((k) => k.o);
}

/** What makes the first object of a kind, after the program's name. */
const examples: Record<string, string> = {
  Pod: 'run web --image=nginx',
  Deployment: 'create deployment web --image=nginx',
  Job: 'create job hello --image=busybox -- echo hello',
  CronJob: 'create cronjob hello --image=busybox --schedule="*/5 * * * *" -- echo hello',
  Service: 'expose deployment/web --port=80 --type=NodePort',
  Ingress: 'create ingress web --rule="web.localhost/*=web:80"',
  ConfigMap: 'create configmap settings --from-literal=key=value',
  Secret: 'create secret generic password --from-literal=password=secret',
  HorizontalPodAutoscaler: 'autoscale deployment/web --min=1 --max=5 --cpu=80%',
  PodDisruptionBudget: 'create poddisruptionbudget web --selector=app=web --min-available=1',
  ServiceAccount: 'create serviceaccount robot',
  Role: 'create role reader --verb=get,list,watch --resource=pods',
  RoleBinding: 'create rolebinding reader --role=reader --user=jane',
};

interface NoRowsProps {
  resource: Resource;
  namespace?: string;
  filter: string;
  state: 'denied' | 'ready' | 'loading';
}

function NoRows({ resource, namespace, filter, state }: NoRowsProps) {
  const kinds = resource.title[0]! + resource.title.slice(1).toLowerCase();
  const where = namespace ? ` in ${namespace}` : resource.namespaced ? ' in any namespace' : '';
  if (state === 'loading') return <p class="loading">Reading {resource.title.toLowerCase()}…</p>;
  if (state === 'denied') {
    return (
      <Empty title={`You may not list ${resource.title.toLowerCase()}${where || ' of this cluster'}.`}>
        <Command text={`${session.program} auth can-i list ${nameOf(resource)}${namespace ? ` -n ${namespace}` : ''}`} />
      </Empty>
    );
  }
  if (filter) return <Empty title={`No ${kinds.toLowerCase()} match ${filter}.`}>{null}</Empty>;
  const flag = namespace && namespace !== 'default' ? ` -n ${namespace}` : '';
  const example = examples[resource.kind];
  return (
    <Empty title={`No ${resource.title.toLowerCase()}${where}.`}>
      <Command text={`${session.program}${flag} ${example ?? 'apply -f app.yaml'}`} />
    </Empty>
  );
}

/** EventsView shows the events of a namespace, the newest first, as they come. */
export function EventsView({ namespace }: { namespace?: string }) {
  const { objects, ready, denied } = useKind('Event');
  const [filter, setFilter] = useState('');
  const [warnings, setWarnings] = useState(false);
  const events = useMemo(() => {
    const wanted = filter.trim().toLowerCase();
    return [...objects.values()].filter(
      (e) =>
        (namespace === undefined || e.metadata.namespace === namespace) &&
        (!warnings || e.type === 'Warning') &&
        (!wanted || `${e.involvedObject?.kind}/${e.involvedObject?.name} ${e.reason} ${e.message}`.toLowerCase().includes(wanted)),
    );
  }, [objects, namespace, filter, warnings]);
  return (
    <div class="view events-view">
      <div class="toolbar">
        <h1>Events</h1>
        <span class="faint count">{events.length}</span>
        <span class="spacer" />
        <label class="check">
          <input type="checkbox" checked={warnings} onChange={(e) => setWarnings(e.currentTarget.checked)} />
          Warnings only
        </label>
        <FilterBox value={filter} onChange={setFilter} label="Filter events" placeholder="Filter by object, reason or message" />
      </div>
      {denied ? (
        <Empty title="You may not list events." />
      ) : !ready ? (
        <p class="loading">Reading events…</p>
      ) : (
        <div class="table-frame">
          <EventList events={events} />
        </div>
      )}
    </div>
  );
}
