// One object and its owners, live.

import { useRef } from 'preact/hooks';
import type { KubeObject, OwnerReference } from '../api';
import { type Resource, resourceOf } from '../resources';
import { useObjectState } from '../store';

/** Watched is what is known of an object. Once deleted, object is what it was last. */
export interface Watched {
  object: KubeObject | undefined;
  state: 'loading' | 'there' | 'missing' | 'deleted' | 'denied';
}

/** useWatched follows an object, and remembers it when it goes. */
export function useWatched(resource: Resource, namespace: string | undefined, name: string): Watched {
  const { object, ready, denied } = useObjectState(resource, resource.namespaced ? namespace : undefined, name);
  const last = useRef<KubeObject>();
  if (object) last.current = object;
  if (object) return { object, state: 'there' };
  if (denied) return { object: last.current, state: 'denied' };
  if (!ready) return { object: last.current, state: last.current ? 'there' : 'loading' };
  return { object: last.current, state: last.current ? 'deleted' : 'missing' };
}

/** Owner is one step of the chain upwards: what the reference says, and the object once it was read. */
export interface Owner {
  ref: OwnerReference;
  object: KubeObject | undefined;
}

/** useOwners follows the controllers of an object upwards, three at most: a pod's, its Job's, its CronJob's. The nearest is first. */
export function useOwners(o: KubeObject): Owner[] {
  const first = useOwner(o, o.metadata.namespace);
  const second = useOwner(first?.object, o.metadata.namespace);
  const third = useOwner(second?.object, o.metadata.namespace);
  return [first, second, third].filter((owner) => owner !== undefined);
}

function useOwner(o: KubeObject | undefined, namespace: string | undefined): Owner | undefined {
  const ref = o && controllerOf(o);
  const resource = ref && resourceOf(ref);
  const { object } = useObjectState(resource, resource?.namespaced ? namespace : undefined, ref?.name ?? '');
  return ref && { ref, object };
}

/** controllerOf is the reference to the object that manages this one; without one, to its first owner. */
export function controllerOf(o: KubeObject): OwnerReference | undefined {
  const refs = o.metadata.ownerReferences ?? [];
  return refs.find((r) => r.controller) ?? refs[0];
}
