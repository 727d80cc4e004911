import type { KubeObject } from '../api';
import { useKeys } from '../keys';
import { nameOf, pathOf, type Resource } from '../resources';
import { go, hrefOf } from '../router';
import { Tabs } from '../ui';
import { useAccess } from './access';
import { ActionBar } from './actions';
import { EventsTab } from './events';
import { Header } from './header';
import { hasMetrics, runsPods } from './kinds';
import { LogView } from './logs';
import { MetricsView } from './metricsview';
import { Overview } from './overview';
import { type Related, useRelated } from './related';
import { TerminalView } from './terminal';
import { useOwners, useWatched } from './watch';
import { YamlView } from './yamlview';

interface Props {
  resource: Resource;
  namespace?: string;
  name: string;
  tab?: string;
}

/** ObjectView is the page of one object, of any kind. Another object needs another key. */
export function ObjectView({ resource, namespace, name, tab }: Props) {
  const { object, state } = useWatched(resource, namespace, name);
  if (object) return <Known resource={resource} object={object} deleted={state === 'deleted'} tab={tab ?? 'overview'} />;
  const texts = {
    loading: 'Loading',
    missing: `There is no ${resource.kind} ${name}${resource.namespaced && namespace ? ` in namespace ${namespace}` : ''}.`,
    denied: `You may not read ${resource.kind} ${name}.`,
    there: '',
    deleted: '',
  };
  return (
    <div class="object view">
      <p class={state === 'loading' ? 'faint' : 'object-gone'}>{texts[state]}</p>
      {state !== 'loading' && <BackLink resource={resource} namespace={namespace} />}
    </div>
  );
}

function BackLink({ resource, namespace }: { resource: Resource; namespace?: string }) {
  return (
    <a href={hrefOf({ view: 'list', resource: nameOf(resource), namespace: resource.namespaced ? namespace : undefined })}>
      All {resource.title.toLowerCase()}
    </a>
  );
}

const titles = { overview: 'Overview', events: 'Events', logs: 'Logs', terminal: 'Terminal', yaml: 'YAML', metrics: 'Metrics' };
type Tab = keyof typeof titles;

/** tabsFor are the tabs that make sense for a kind. */
function tabsFor(kind: string): Tab[] {
  const tabs: Tab[] = ['overview'];
  if (kind !== 'Event') tabs.push('events');
  if (runsPods(kind)) tabs.push('logs', 'terminal');
  tabs.push('yaml');
  if (hasMetrics(kind)) tabs.push('metrics');
  return tabs;
}

function Known({ resource, object, deleted, tab }: { resource: Resource; object: KubeObject; deleted: boolean; tab: string }) {
  const path = pathOf(object);
  const related = useRelated(object);
  const owners = useOwners(object);
  const tabs = tabsFor(object.kind);
  const current = tabs.find((t) => t === tab) ?? 'overview';
  const { name, namespace } = object.metadata;
  useTabKeys(tabs, (id) => select(id));
  const select = (id: string) => go({ view: 'object', resource: nameOf(resource), namespace, name, tab: id === 'overview' ? undefined : id });
  return (
    <article class="object view" aria-label={`${object.kind} ${name}`}>
      <Header object={object} resource={resource} owners={owners} deleted={deleted}>
        {!deleted && <ActionBar object={object} resource={resource} path={path} related={related} />}
      </Header>
      {deleted && (
        <p class="notice" role="alert">
          It was deleted. What you see is what it was last. <BackLink resource={resource} namespace={namespace} />
        </p>
      )}
      <Tabs tabs={tabs.map((id) => ({ id, title: titles[id] }))} current={current} onSelect={select} label="Views of the object" />
      <div class={`object-panel panel-${current}`} role="tabpanel" aria-labelledby={`tab-${current}`}>
        <Panel tab={current} object={object} deleted={deleted} resource={resource} path={path} related={related} owners={owners} />
      </div>
    </article>
  );
}

/** The keys of the tabs, much as k9s has them. */
const tabKeys: Record<string, Tab> = { o: 'overview', e: 'events', l: 'logs', s: 'terminal', y: 'yaml', m: 'metrics' };

function useTabKeys(tabs: Tab[], select: (tab: Tab) => void): void {
  const handlers = Object.entries(tabKeys).filter(([, tab]) => tabs.includes(tab));
  useKeys(Object.fromEntries(handlers.map(([key, tab]) => [key, () => select(tab)])));
}

interface PanelProps {
  tab: Tab;
  deleted: boolean;
  object: KubeObject;
  resource: Resource;
  path: string;
  related: Related;
  owners: ReturnType<typeof useOwners>;
}

function Panel({ tab, deleted, object, resource, path, related, owners }: PanelProps) {
  const editable = useAccess({ verb: 'patch', group: resource.group, resource: resource.plural, namespace: object.metadata.namespace });
  switch (tab) {
    case 'events':
      return <EventsTab object={object} related={related} />;
    case 'logs':
      return <LogView object={object} related={related} />;
    case 'terminal':
      return <TerminalView object={object} related={related} />;
    case 'yaml':
      return <YamlView object={object} path={path} editable={editable} />;
    case 'metrics':
      return <MetricsView object={object} related={related} />;
    default:
      return <Overview object={object} deleted={deleted} path={path} related={related} owners={owners} />;
  }
}
