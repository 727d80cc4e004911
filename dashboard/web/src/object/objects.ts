// The page's /objects endpoint: objects as YAML, and what the server says of changes before they are made.

import { ApiError, own } from '../api';

export type Mode = 'apply' | 'replace' | 'create';

export interface Change {
  yaml: string;
  mode: Mode;
  dryRun: boolean;
  force: boolean;
  namespace?: string;
}

export interface Problem {
  line: number; // from 1; 0: of the whole
  column?: number;
  message: string;
}

export interface Conflict {
  manager: string;
  field: string;
  message: string;
}

/** Outcome is what the server has, or would have; or what it finds wrong. */
export type Outcome = { ok: true; path: string; before: string; yaml: string } | { ok: false; problems: Problem[]; conflicts: Conflict[] };

export async function readYaml(path: string): Promise<string> {
  return (await own<{ yaml: string }>('GET', `/objects?path=${encodeURIComponent(path)}`)).yaml;
}

/** writeYaml makes a change, or asks what it would do. It never throws: what goes wrong is a problem of the whole. */
export async function writeYaml(change: Change): Promise<Outcome> {
  try {
    const answer = await own<{ path: string; before?: string; yaml: string }>('POST', '/objects', change);
    return { ok: true, path: answer.path, before: answer.before ?? '', yaml: answer.yaml };
  } catch (err) {
    const body = err instanceof ApiError ? (err.body as { problems?: Problem[]; conflicts?: Conflict[] } | undefined) : undefined;
    const problems = body?.problems ?? [];
    const conflicts = body?.conflicts ?? [];
    if (!problems.length && !conflicts.length) problems.push({ line: 0, message: (err as Error).message });
    return { ok: false, problems, conflicts };
  }
}
