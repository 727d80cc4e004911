// What the filter of a list understands: words that are in a name, namespace or status, and labels as key=value or key!=value.

import type { KubeObject } from '../api';
import { healthOf } from '../health';

type Test = (o: KubeObject) => boolean;

export function parseFilter(text: string): Test | undefined {
  const tests = text.trim().split(/\s+/).filter(Boolean).map(testOf);
  return tests.length ? (o) => tests.every((t) => t(o)) : undefined;
}

function testOf(word: string): Test {
  const label = /^([^=!]+)(!?=)(.*)$/.exec(word);
  if (!label) {
    const wanted = word.toLowerCase();
    return (o) => textOf(o).includes(wanted);
  }
  const [, key = '', operator, value] = label;
  const equal: Test = (o) => labelsOf(o)[key] === value;
  return operator === '!=' ? (o) => !equal(o) : equal;
}

function labelsOf(o: KubeObject): Record<string, string> {
  return o.metadata.labels ?? {};
}

function textOf(o: KubeObject): string {
  return `${o.metadata.name}\n${o.metadata.namespace ?? ''}\n${healthOf(o).text}`.toLowerCase();
}
