import { useState } from 'preact/hooks';
import { notify } from '../ui';

/** CopyButton puts a text on the clipboard, and says so. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      window.setTimeout(() => setCopied(false), 1500);
    } catch {
      notify('The browser does not let this page copy', 'error');
    }
  };
  return (
    <button type="button" class="small" title={label} aria-label={label} onClick={copy}>
      {copied ? 'Copied' : 'Copy'}
    </button>
  );
}
