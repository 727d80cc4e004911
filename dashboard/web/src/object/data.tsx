import { useState } from 'preact/hooks';
import type { KubeObject } from '../api';
import { CopyButton } from './copy';

/** A value longer than this is folded. */
const shortValue = 400; // characters

/** DataTable lists the keys of a ConfigMap or Secret. Values of Secrets are hidden until they are asked for. */
export function DataTable({ object }: { object: KubeObject }) {
  const secret = object.kind === 'Secret';
  const plain = Object.entries((object.data ?? {}) as Record<string, string>);
  const binary = Object.entries((object.binaryData ?? {}) as Record<string, string>);
  const count = plain.length + binary.length;
  return (
    <section aria-label="Data">
      <h2>Data</h2>
      {!count && <p class="faint">It has no keys.</p>}
      <dl class="data">
        {plain.map(([key, value]) => (
          <Entry key={key} name={key} text={secret ? decode(value) : value} hidden={secret} />
        ))}
        {binary.map(([key, value]) => (
          <Entry key={key} name={key} text={decode(value)} hidden={secret} />
        ))}
      </dl>
    </section>
  );
}

function Entry({ name, text, hidden }: { name: string; text: string | undefined; hidden: boolean }) {
  const [shown, setShown] = useState(!hidden);
  const [whole, setWhole] = useState(false);
  const size = text === undefined ? 'binary' : `${new TextEncoder().encode(text).length} bytes`;
  const long = !!text && text.length > shortValue;
  return (
    <div class="data-entry">
      <dt>
        <code>{name}</code> <span class="faint">{size}</span>
        {hidden && text !== undefined && (
          <button type="button" class="small" aria-pressed={shown} onClick={() => setShown(!shown)}>
            {shown ? 'Hide' : 'Show'}
          </button>
        )}
        {text !== undefined && <CopyButton text={text} label={`Copy the value of ${name}`} />}
      </dt>
      <dd>
        {text === undefined && <span class="faint">Not text</span>}
        {text !== undefined && !shown && (
          <span class="faint" aria-label="Hidden">
            ••••••••
          </span>
        )}
        {text !== undefined && shown && <pre class="value">{long && !whole ? text.slice(0, shortValue) + '…' : text}</pre>}
        {shown && long && (
          <button type="button" class="link" onClick={() => setWhole(!whole)}>
            {whole ? 'Show less' : `Show all ${text!.length.toLocaleString('en')} characters`}
          </button>
        )}
      </dd>
    </div>
  );
}

/** decode reads base64 as UTF-8; undefined: it is no text. */
function decode(value: string): string | undefined {
  try {
    const bytes = Uint8Array.from(atob(value), (c) => c.charCodeAt(0));
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return /[\x00-\x08\x0e-\x1f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}
