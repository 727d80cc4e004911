// A line diff: Myers' algorithm (https://doi.org/10.1007/BF01840446) on what is left when the common start and end are taken off.

/** Row is one line of a diff. before and after are its line numbers, from 1, in the texts that have it. */
export interface Row {
  kind: 'same' | 'added' | 'removed';
  text: string;
  before?: number;
  after?: number;
}

/** Hunk is a run of rows around changes; skipped counts the equal lines that were left out before it. */
export interface Hunk {
  skipped: number;
  rows: Row[];
}

/** Beyond so many edits the search would take too long; the differing part is then shown as replaced. */
const maxEdits = 2000;

/** diffLines returns all lines of both texts, removed ones before the added ones that take their place. */
export function diffLines(before: string, after: string): Row[] {
  const a = splitLines(before);
  const b = splitLines(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;

  const rows: Row[] = [];
  let i = 0;
  let j = 0;
  const same = () => rows.push({ kind: 'same', text: a[i]!, before: ++i, after: ++j });
  const removed = () => rows.push({ kind: 'removed', text: a[i]!, before: ++i });
  const added = () => rows.push({ kind: 'added', text: b[j]!, after: ++j });

  while (i < start) same();
  for (const step of shortestEdit(a.slice(start, a.length - end), b.slice(start, b.length - end))) {
    if (step === 'same') same();
    else if (step === 'removed') removed();
    else added();
  }
  while (i < a.length) same();
  return rows;
}

/** changed counts the lines that were added and removed. */
export function changed(rows: Row[]): { added: number; removed: number } {
  let added = 0;
  let removed = 0;
  for (const row of rows) {
    if (row.kind === 'added') added++;
    if (row.kind === 'removed') removed++;
  }
  return { added, removed };
}

/** hunks leaves out equal lines that are further than `context` lines from a change. */
export function hunks(rows: Row[], context = 3): Hunk[] {
  const keep = new Uint8Array(rows.length);
  rows.forEach((row, i) => {
    if (row.kind === 'same') return;
    keep.fill(1, Math.max(0, i - context), Math.min(rows.length, i + context + 1));
  });
  const out: Hunk[] = [];
  let skipped = 0;
  let open: Hunk | undefined;
  rows.forEach((row, i) => {
    if (!keep[i]) {
      skipped++;
      open = undefined;
      return;
    }
    if (!open) {
      open = { skipped, rows: [] };
      out.push(open);
      skipped = 0;
    }
    open.rows.push(row);
  });
  return out;
}

function splitLines(text: string): string[] {
  const lines = text.split('\n');
  if (lines[lines.length - 1] === '') lines.pop();
  return lines;
}

type Step = Row['kind'];

/** shortestEdit finds the fewest removals and additions that turn a into b. */
function shortestEdit(a: string[], b: string[]): Step[] {
  const trail: Int32Array[] = [];
  const limit = Math.min(a.length + b.length, maxEdits);
  const offset = limit + 1;
  const furthest = new Int32Array(2 * limit + 3); // the furthest line of a on each diagonal
  for (let edits = 0; edits <= limit; edits++) {
    trail.push(furthest.slice(offset - edits - 1, offset + edits + 2));
    for (let k = -edits; k <= edits; k += 2) {
      const down = k === -edits || (k !== edits && furthest[offset + k - 1]! < furthest[offset + k + 1]!);
      let x = down ? furthest[offset + k + 1]! : furthest[offset + k - 1]! + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      furthest[offset + k] = x;
      if (x >= a.length && x - k >= b.length) return backtrack(trail, a.length, b.length);
    }
  }
  return [...a.map((): Step => 'removed'), ...b.map((): Step => 'added')];
}

/** backtrack walks from the end of both texts to their start, over what was the furthest at each number of edits. */
function backtrack(trail: Int32Array[], x: number, y: number): Step[] {
  const steps: Step[] = [];
  for (let edits = trail.length - 1; edits > 0; edits--) {
    const furthest = trail[edits]!;
    const at = (k: number) => furthest[k + edits + 1]!;
    const k = x - y;
    const down = k === -edits || (k !== edits && at(k - 1) < at(k + 1));
    const fromK = down ? k + 1 : k - 1;
    const fromX = at(fromK);
    for (const moved = down ? fromX : fromX + 1; x > moved; x--) steps.push('same');
    steps.push(down ? 'added' : 'removed');
    x = fromX;
    y = fromX - fromK;
  }
  while (x > 0) {
    steps.push('same');
    x--;
  }
  return steps.reverse();
}
