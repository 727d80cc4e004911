// The columns that a custom kind's definition asks for.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#additional-printer-columns

import type { KubeObject } from '../api';
import type { Resource } from '../resources';
import { Age } from '../ui';
import type { Column } from './column';

interface PrinterColumn {
  name: string;
  type: string;
  jsonPath: string;
  priority?: number;
}

export function printerColumns(definition: KubeObject | undefined, r: Resource): Column[] | undefined {
  const version = definition?.spec?.versions?.find((v: { name: string }) => v.name === r.version);
  const columns: PrinterColumn[] = version?.additionalPrinterColumns ?? [];
  const shown = columns.filter((c) => !c.priority && c.name !== 'Age');
  return shown.length ? shown.map(columnFor) : undefined;
}

function columnFor(c: PrinterColumn): Column {
  const read = (o: KubeObject) => readPath(o, c.jsonPath);
  const number = c.type === 'integer' || c.type === 'number';
  if (c.type === 'date') return { title: c.name, width: 12, value: (o) => -Date.parse(String(read(o) ?? '')), show: (o) => <Age time={read(o) as string | undefined} /> };
  return { title: c.name, width: Math.max(12, c.name.length + 2), number, value: (o) => (number ? (read(o) as number | undefined) : asText(read(o))) };
}

function asText(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** readPath reads the JSON paths that definitions use: .spec.a, .spec['a'], .list[0].b, .list[?(@.type=="Ready")].status */
export function readPath(o: unknown, path: string): unknown {
  const steps = path.matchAll(/\.([\w-]+)|\['([^']+)'\]|\["([^"]+)"\]|\[(\d+)\]|\[\?\(@\.([\w.-]+)\s*==\s*["']([^"']*)["']\)\]/g);
  let at: any = o;
  for (const [, dot, single, double, index, field, wanted] of steps) {
    if (at === undefined || at === null) return undefined;
    if (field !== undefined) at = Array.isArray(at) ? at.find((x) => String(x?.[field]) === wanted) : undefined;
    else at = at[dot ?? single ?? double ?? Number(index)];
  }
  return at;
}
