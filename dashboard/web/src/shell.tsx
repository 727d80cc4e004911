// What stands around the views: header, navigation, dialogs that every view has, and the view of the current place.

import { useEffect, useState } from 'preact/hooks';
import { loadSession, session, useConnection } from './api';
import { focusFilter, useKeys } from './keys';
import { EventsView, ListView } from './list';
import { MapView } from './map';
import { Navigation } from './navigation';
import { Disk } from './disk';
import { NewObject } from './object/create';
import { ObjectView } from './object/view';
import { NamespacePicker } from './namespaces';
import { Finder } from './finder';
import { Header, Help } from './header';
import { discover, resourceNamed, useResources } from './resources';
import { currentScope, go, type Place, usePlace } from './router';
import { useKind } from './store';
import { Empty, Toasts } from './ui';

type Open = 'namespaces' | 'finder' | 'new' | 'help' | undefined;

export function Shell() {
  const place = usePlace();
  const [open, setOpen] = useState<Open>();
  const [menu, setMenu] = useState(false); // of narrow windows
  const close = () => setOpen(undefined);
  useDiscovery();
  useRouterPorts();
  useShortcuts(setOpen, () => setMenu(false));
  useEffect(() => {
    setMenu(false);
    document.getElementById('main')?.scrollTo(0, 0);
  }, [place]);
  return (
    <div class={menu ? 'shell menu-open' : 'shell'}>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <Header
        onNamespaces={() => setOpen('namespaces')}
        onFind={() => setOpen('finder')}
        onNew={() => setOpen('new')}
        onHelp={() => setOpen('help')}
        onMenu={() => setMenu(!menu)}
        menuOpen={menu}
      />
      <Navigation place={place} />
      <main id="main" tabIndex={-1}>
        <LostConnection />
        <View place={place} />
      </main>
      <Toasts />
      {open === 'namespaces' && <NamespacePicker onClose={close} />}
      {open === 'finder' && <Finder onClose={close} />}
      {open === 'new' && <NewObject namespace={currentScope()} onClose={close} />}
      {open === 'help' && <Help onClose={close} />}
    </div>
  );
}

/** useRouterPorts learns where Ingresses are served, which their class tells: nowhere before there is one. */
function useRouterPorts() {
  const { objects } = useKind('IngressClass');
  const versions = [...objects.values()].map((o) => o.metadata.resourceVersion).join();
  const [, render] = useState(0);
  useEffect(() => {
    if (!versions) return;
    loadSession().then(
      () => render((n) => n + 1),
      () => {}, // of a session that has ended the page says so
    );
  }, [versions]);
}

/** skip focuses the content; the address' part after the # is a place, so that no link may go there. */
function skip(e: Event): void {
  e.preventDefault();
  document.getElementById('main')?.focus();
}

function View({ place }: { place: Place }) {
  const known = useResources();
  const resource = resourceNamed(place.resource);
  if (place.view === 'map') return <MapView namespace={place.namespace} />;
  if (place.view === 'events') return <EventsView namespace={place.namespace} />;
  if (place.view === 'disk') return <Disk />;
  if (!resource) {
    return (
      <Empty title={`This cluster has no ${place.resource}`}>
        <p>It serves {known.length} kinds; the navigation shows them.</p>
      </Empty>
    );
  }
  if (place.view === 'list') return <ListView key={place.resource} resource={resource} namespace={resource.namespaced ? place.namespace : undefined} />;
  const key = `${place.resource}/${place.namespace}/${place.name}`;
  return <ObjectView key={key} resource={resource} namespace={place.namespace} name={place.name!} tab={place.tab} />;
}

/** useDiscovery looks again at what the cluster serves when there are other resource definitions. */
function useDiscovery(): void {
  const { objects, ready } = useKind('CustomResourceDefinition');
  const served = [...objects.values()].map((o) => o.metadata.uid + (o.status?.conditions?.length ?? 0)).join();
  const [first, setFirst] = useState<string>();
  useEffect(() => {
    if (!ready) return;
    if (first === undefined) return setFirst(served);
    const timer = setTimeout(() => void discover().catch(() => {}), 500); // the API serves a definition a moment later
    return () => clearTimeout(timer);
  }, [served, ready]);
}

function useShortcuts(setOpen: (open: Open) => void, closeMenu: () => void): void {
  const list = (resource: string) => () => go({ view: 'list', resource, namespace: currentScope() });
  useKeys({
    '/': focusFilter,
    '?': () => setOpen('help'),
    n: () => setOpen('namespaces'),
    ':': () => setOpen('finder'),
    c: () => setOpen('new'),
    'g m': () => go({ view: 'map', namespace: currentScope() }),
    'g p': list('pods'),
    'g d': list('deployments.apps'),
    'g s': list('services'),
    'g e': () => go({ view: 'events', namespace: currentScope() }),
    Escape: () => closeMenu(),
  });
}

function LostConnection() {
  const lost = useConnection();
  if (!lost) return null;
  return (
    <p class="lost" role="alert">
      {session.program} does not answer. What you see is what was there last; the page tries again.
    </p>
  );
}
