// Places of the page, kept in the address after the #, so that back, forward, bookmarks and new tabs work:
//
//	#/NAMESPACE/map   #/NAMESPACE/list/deployments.apps   #/NAMESPACE/object/deployments.apps/web?tab=logs   ("_": all namespaces)

import { useEffect, useState } from 'preact/hooks';
import type { KubeObject } from './api';
import { resourceOf } from './resources';

/** Place is where the user is. */
export interface Place {
  view: 'map' | 'list' | 'object' | 'events' | 'disk';
  namespace?: string; // undefined: all
  resource?: string; // plural.group, or plural for the core group
  name?: string;
  tab?: string;
  filter?: string; // of a list, to begin with
}

const all = '_';
const scopeKey = 'kube-lite.namespace';
const views = ['map', 'list', 'object', 'events', 'disk'];

/** parsePlace reads the address' part after the #; what it does not know is the map. */
export function parsePlace(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#/, '').split('?');
  const [, ns = all, view = 'map', resource, name] = path.split('/').map(decodeURIComponent);
  const namespace = ns === all || ns === '' ? undefined : ns;
  if (!views.includes(view) || (view === 'list' && !resource) || (view === 'object' && !name)) return { view: 'map', namespace };
  const asked = new URLSearchParams(query);
  return {
    view: view as Place['view'],
    namespace,
    resource: resource || undefined,
    name: name || undefined,
    tab: asked.get('tab') ?? undefined,
    filter: asked.get('filter') ?? undefined,
  };
}

export function hrefOf(p: Place): string {
  const parts = [p.namespace ?? all, p.view];
  if (p.resource) parts.push(p.resource);
  if (p.resource && p.name) parts.push(p.name);
  return '#/' + parts.map(encodeURIComponent).join('/') + (p.tab ? '?tab=' + encodeURIComponent(p.tab) : '');
}

export function hrefOfObject(o: KubeObject, tab?: string): string {
  const r = resourceOf(o);
  const group = o.apiVersion.includes('/') ? o.apiVersion.split('/')[0]! : '';
  const plural = r?.plural ?? o.kind.toLowerCase() + 's';
  return hrefOf({ view: 'object', namespace: o.metadata.namespace, resource: group ? `${plural}.${group}` : plural, name: o.metadata.name, tab });
}

let place = parsePlace(location.hash);
let scope = place.namespace ?? (place.view === 'map' && !location.hash.startsWith('#/') ? (sessionStorage.getItem(scopeKey) ?? undefined) : undefined);
if (!location.hash.startsWith('#/')) place = { view: 'map', namespace: scope };
const listeners = new Set<() => void>();

export function go(p: Place): void {
  location.hash = hrefOf(p);
}

export function currentPlace(): Place {
  return place;
}

/** currentScope is the namespace that the user has chosen last; undefined: all. Objects without a namespace do not change it. */
export function currentScope(): string | undefined {
  return scope;
}

export function onPlace(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

export function usePlace(): Place {
  const [, render] = useState(0);
  useEffect(() => onPlace(() => render((n) => n + 1)), []);
  return place;
}

window.addEventListener('hashchange', () => {
  if (location.hash.startsWith('#login=')) {
    location.reload(); // a new link was opened in this tab
    return;
  }
  place = parsePlace(location.hash);
  if (place.view !== 'object') scope = place.namespace;
  else if (place.namespace && scope) scope = place.namespace;
  if (scope) sessionStorage.setItem(scopeKey, scope);
  else sessionStorage.removeItem(scopeKey);
  for (const l of [...listeners]) l();
});
