import { useMemo } from 'preact/hooks';
import { changed, diffLines, hunks } from './diff';
import { tokenize } from './yaml';
import { YamlLine } from './yamltext';

const marks = { same: ' ', added: '+', removed: '-' } as const;
const words = { same: '', added: 'added', removed: 'removed' } as const;

/** DiffView shows what changes between two texts, line by line. */
export function DiffView({ before, after, label }: { before: string; after: string; label: string }) {
  const rows = useMemo(() => diffLines(before, after), [before, after]);
  const { added, removed } = changed(rows);
  if (!added && !removed) return <p class="faint">Nothing changes.</p>;
  return (
    <section class="diff" aria-label={label}>
      <p class="faint">
        {added} {added === 1 ? 'line' : 'lines'} added, {removed} removed
      </p>
      <div class="diff-box" tabIndex={0} role="region" aria-label={label}>
        {hunks(rows).map((hunk, i) => (
          <div key={i} class="diff-hunk">
            {hunk.skipped > 0 && <div class="diff-skip">{hunk.skipped} equal lines</div>}
            {hunk.rows.map((row, j) => (
              <div key={j} class={`diff-row diff-${row.kind}`}>
                <span class="diff-number" aria-hidden="true">
                  {row.before ?? ''}
                </span>
                <span class="diff-number" aria-hidden="true">
                  {row.after ?? ''}
                </span>
                <span class="diff-mark">
                  <span aria-hidden="true">{marks[row.kind]}</span>
                  <span class="visually-hidden">{words[row.kind]}</span>
                </span>
                <code>{row.kind === 'same' ? row.text : <YamlLine tokens={tokenize(row.text)[0]!} last />}</code>
              </div>
            ))}
          </div>
        ))}
      </div>
    </section>
  );
}
