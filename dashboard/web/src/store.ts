// Objects, live. Each kind that somebody uses is watched once, for all namespaces, or for the chosen one if the user may not list all.
// What arrives goes into a map at once and to the components once per animation frame.

import { useEffect, useMemo, useState } from 'preact/hooks';
import type { KubeObject } from './api';
import { collectionPath, type Resource, resources } from './resources';
import { currentScope, onPlace } from './router';
import { Watch } from './watch';

/** Kind is what is known of a kind's objects. The map is another one whenever something in it has changed. */
export interface Kind {
  objects: Map<string, KubeObject>; // by uid
  ready: boolean;
  denied: boolean; // the user may not list this kind
}

/** A watch outlives its last user by so many milliseconds, for those who go back and forth. */
const lingering = 30_000;
const none: Kind = { objects: new Map(), ready: false, denied: false };
const unserved: Kind = { objects: new Map(), ready: true, denied: false };

interface Entry {
  watch: Watch;
  users: number;
  listeners: Set<() => void>;
  closing: number;
}

const entries = new Map<string, Entry>();
const changed = new Set<Entry>();
let scheduled = false;
let due = 0; // when the next rendering may be

/** Renderings are at least so many milliseconds apart: faster changes cannot be read. A single change is rendered at once. */
const pause = 80;

/** flush renders what has changed. A page that takes long to render is rendered less often, so that it still reacts. */
function flush(): void {
  const begin = performance.now();
  const entriesDue = [...changed];
  changed.clear();
  for (const e of entriesDue) {
    for (const l of [...e.listeners]) l();
  }
  requestAnimationFrame(() => {
    const now = performance.now();
    due = now + Math.max(pause, Math.min(2 * (now - begin), 500));
    scheduled = false;
    if (changed.size) schedule();
  });
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  const wait = due - performance.now();
  if (wait > 0) setTimeout(() => requestAnimationFrame(flush), wait);
  else requestAnimationFrame(flush);
}

function acquire(key: string, make: (onChange: () => void) => Watch): Entry {
  let e = entries.get(key);
  if (!e) {
    const entry: Entry = {
      watch: make(() => {
        changed.add(entry);
        schedule();
      }),
      users: 0,
      listeners: new Set(),
      closing: 0,
    };
    e = entry;
    entries.set(key, e);
    e.watch.start();
  }
  clearTimeout(e.closing);
  e.users++;
  return e;
}

function release(key: string, e: Entry): void {
  if (--e.users) return;
  e.closing = window.setTimeout(() => {
    if (entries.get(key) !== e) return;
    entries.delete(key);
    e.watch.stop();
  }, lingering);
}

function useEntry(key: string | undefined, make: (onChange: () => void) => Watch): Kind {
  const [, render] = useState(0);
  useEffect(() => {
    if (key === undefined) return;
    const e = acquire(key, make);
    const listener = () => render((n) => n + 1);
    e.listeners.add(listener);
    listener();
    return () => {
      e.listeners.delete(listener);
      release(key, e);
    };
  }, [key]);
  return (key !== undefined && entries.get(key)?.watch.state) || none;
}

/** useResource watches the objects of a kind while the component is mounted; undefined watches nothing. */
export function useResource(r: Resource | undefined): Kind {
  const key = r && collectionPath(r);
  const state = useEntry(key, (onChange) => new Watch(new KindPaths(r!), onChange, r!.kind === 'Secret' ? withoutValues : undefined));
  return r ? state : unserved;
}

/** useKind watches the objects of a kind that the page knows by its name. */
export function useKind(kind: string): Kind {
  return useResource(resources.find((r) => r.kind === kind));
}

/** useObject watches one object, with everything in it. It returns undefined until it is there, and after it was deleted. */
export function useObject(kind: string, namespace: string | undefined, name: string): KubeObject | undefined {
  return useObjectState(resources.find((r) => r.kind === kind), namespace, name).object;
}

/** useObjectState is useObject for a kind whose name may be ambiguous, and tells whether the object is missing or yet to come. */
export function useObjectState(r: Resource | undefined, namespace: string | undefined, name: string): { object?: KubeObject; ready: boolean; denied: boolean } {
  const path = r && collectionPath(r, namespace) + '?fieldSelector=' + encodeURIComponent('metadata.name=' + name);
  const { objects, ready, denied } = useEntry(path, (onChange) => new Watch({ path: () => path! }, onChange));
  return useMemo(() => ({ object: objects.values().next().value, ready, denied }), [objects, ready, denied]);
}

/** KindPaths leads a watch to all namespaces first, and to the chosen one if that is denied. */
class KindPaths {
  private everywhere = true;
  private scope: string | undefined;

  constructor(private resource: Resource) {}

  path(): string {
    this.scope = this.everywhere ? undefined : currentScope();
    return collectionPath(this.resource, this.scope);
  }

  /** narrow is called when the path is denied; it returns false if there is no other one. */
  narrow(): boolean {
    if (!this.resource.namespaced || this.scope !== undefined || currentScope() === undefined) return false;
    this.everywhere = false;
    return true;
  }

  /** moved tells whether path would be another one now. */
  moved(): boolean {
    return !this.everywhere && this.scope !== currentScope();
  }

  /** widen is called before an attempt that comes long after the path was denied. */
  widen(): void {
    this.everywhere = true;
  }
}

onPlace(() => {
  for (const e of entries.values()) e.watch.placeChanged();
});

/** withoutValues keeps the values of Secrets out of lists. */
function withoutValues(o: KubeObject): void {
  for (const field of ['data', 'stringData']) {
    if (o[field]) o[field] = Object.fromEntries(Object.keys(o[field]).map((k) => [k, '']));
  }
  const annotations = o.metadata.annotations;
  if (annotations) delete annotations['kubectl.kubernetes.io/last-applied-configuration'];
}
