// Which containers a log view reads, and how they are called and coloured.

import type { KubeObject } from '../api';
import { containersOf } from './containers';
import type { LogSource } from './logbuffer';

const colors = 8;

/** Palette gives each pod a colour: by its name, so that it is the same after a reload, unless another has it already. */
export class Palette {
  private given = new Map<string, number>();

  colorOf(pod: string): number {
    const before = this.given.get(pod);
    if (before !== undefined) return before;
    const taken = new Set(this.given.values());
    let color = hash(pod) % colors;
    for (let i = 0; i < colors && taken.has(color); i++) color = (color + 3) % colors;
    this.given.set(pod, color);
    return color;
  }
}

function hash(text: string): number {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return h >>> 0;
}

/** sourcesOf lists the containers of pods that have a log, or will have one. */
export function sourcesOf(pods: KubeObject[], palette: Palette): LogSource[] {
  const several = pods.length > 1;
  return pods.flatMap((pod) => {
    const containers = containersOf(pod);
    return containers.map((c): LogSource => {
      const short = shortName(pod);
      const parts = [...(several || containers.length === 1 ? [short] : []), ...(containers.length > 1 ? [c.name] : [])];
      return {
        key: `${pod.metadata.uid}/${c.name}`,
        namespace: pod.metadata.namespace ?? '',
        pod: pod.metadata.name,
        container: c.name,
        label: parts.join('/'),
        color: several ? palette.colorOf(pod.metadata.name) : palette.colorOf(c.name),
      };
    });
  });
}

/** shortName is what the controller added to make the name unique; of others, and of StatefulSets' pods, the whole name. */
function shortName(pod: KubeObject): string {
  const { name, generateName } = pod.metadata as { name: string; generateName?: string };
  return generateName && name.startsWith(generateName) && name.length > generateName.length && !/^\d+$/.test(name.slice(generateName.length))
    ? name.slice(generateName.length)
    : name;
}
