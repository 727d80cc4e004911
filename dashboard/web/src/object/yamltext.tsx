import { useMemo } from 'preact/hooks';
import { type Token, tokenize } from './yaml';

/** YamlText shows a YAML text with colours and line numbers. */
export function YamlText({ text, label }: { text: string; label: string }) {
  const lines = useMemo(() => tokenize(text.replace(/\n$/, '')), [text]);
  return (
    <div class="code" role="region" aria-label={label} tabIndex={0}>
      <pre class="code-gutter" aria-hidden="true">
        {lines.map((_, i) => i + 1).join('\n')}
      </pre>
      <pre class="code-text">
        {lines.map((tokens, i) => (
          <YamlLine key={i} tokens={tokens} last={i === lines.length - 1} />
        ))}
      </pre>
    </div>
  );
}

export function YamlLine({ tokens, last }: { tokens: Token[]; last?: boolean }) {
  return (
    <>
      {tokens.map((t, i) =>
        t.kind === 'plain' || t.kind === 'mark' ? (
          t.text
        ) : (
          <span key={i} class={`yaml-${t.kind}`}>
            {t.text}
          </span>
        ),
      )}
      {last ? '' : '\n'}
    </>
  );
}
