// A column of a list: what stands in a cell, and by what its rows are sorted.

import type { ComponentChildren } from 'preact';
import type { KubeObject } from '../api';
import type { Sample } from '../metrics';

/** Context is what columns know beside the object. */
export interface Context {
  metrics: Map<string, Sample[]>; // by "namespace/name" of pods, or by name of nodes
}

export interface Column {
  title: string;
  value: (o: KubeObject, c: Context) => string | number | undefined; // sorted by it; a string is shown as it is
  show?: (o: KubeObject, c: Context) => ComponentChildren; // if it is shown otherwise
  width: number; // in characters; 0: what is left over
  number?: boolean; // to the right
  code?: boolean; // monospaced
}

/** sampleOf is the latest sample of a pod or node. */
export function sampleOf(o: KubeObject, c: Context): Sample | undefined {
  return c.metrics.get(o.metadata.namespace ? `${o.metadata.namespace}/${o.metadata.name}` : o.metadata.name)?.at(-1);
}
