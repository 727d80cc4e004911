import { useEffect, useState } from 'preact/hooks';
import { get, send } from '../api';
import { Button, Dialog } from '../ui';
import { bytesText } from '../units';

/** Item is one thing that prune removes. */
interface Item {
  kind: string;
  name: string;
  bytes: number;
}

/** PruneDialog shows what a node does not need any more, removes it and says what that freed. */
export function PruneDialog({ node, onDone, onClose }: { node: string; onDone(): void; onClose(): void }) {
  const [images, setImages] = useState(false);
  const [removed, setRemoved] = useState<Item[]>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const path = `/api/v1/nodes/${node}/proxy/prune?images=${images}`;

  const items = useItems(path, setError);

  const run = async () => {
    setBusy(true);
    setError('');
    try {
      setRemoved((await send<Item[] | null>('POST', path)) ?? []);
      onDone();
    } catch (err) {
      setError((err as Error).message);
    }
    setBusy(false);
  };

  return (
    <Dialog title={`Prune node ${node}`} onClose={onClose} class="wide">
      {removed ? (
        <p role="status">{removed.length ? `${countOf(removed)} removed, ${sizeOf(removed)} freed.` : 'There was nothing left to remove.'}</p>
      ) : (
        <>
          <label class="check">
            <input type="checkbox" checked={images} disabled={busy} onChange={(e) => setImages(e.currentTarget.checked)} />
            Also images that no object refers to and no container uses
          </label>
          {images && (
            <p class="faint">Images of others on this engine may be among them. They have to be pulled or built again when they are needed.</p>
          )}
          {!items && !error && <p class="faint">Asking what takes disk space</p>}
          {items && !items.length && <p>There is nothing to remove.</p>}
          {items && items.length > 0 && <Items items={items} />}
        </>
      )}
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      <div class="dialog-buttons">
        <Button onClick={onClose}>{removed ? 'Close' : 'Cancel'}</Button>
        {!removed && (
          <Button danger disabled={busy || !items?.length} onClick={() => void run()}>
            {busy ? 'Removing' : items?.length ? `Remove ${countOf(items)}, free ${sizeOf(items)}` : 'Remove'}
          </Button>
        )}
      </div>
    </Dialog>
  );
}

/** useItems asks what would be removed. */
function useItems(path: string, onError: (message: string) => void): Item[] | undefined {
  const [items, setItems] = useState<Item[]>();
  useEffect(() => {
    let current = true;
    setItems(undefined);
    onError('');
    get<Item[] | null>(path).then(
      (list) => current && setItems(list ?? []),
      (err: Error) => current && onError(err.message),
    );
    return () => {
      current = false;
    };
  }, [path]);
  return items;
}

function Items({ items }: { items: Item[] }) {
  const sorted = [...items].sort((a, b) => b.bytes - a.bytes);
  return (
    <div class="prune-frame" tabIndex={0} role="region" aria-label="What would be removed">
      <table class="prune-items">
        <thead>
          <tr>
            <th scope="col">Kind</th>
            <th scope="col">Name</th>
            <th scope="col" class="number">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((item) => (
            <tr key={`${item.kind}/${item.name}`}>
              <td>{item.kind}</td>
              <td class="message">{item.name}</td>
              <td class="number">{bytesText(item.bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** countOf is "2 containers and 1 image". */
function countOf(items: Item[]): string {
  const plurals: Record<string, string> = { directory: 'directories' };
  const kinds = [...new Set(items.map((i) => i.kind))];
  const parts = kinds.map((kind) => {
    const n = items.filter((i) => i.kind === kind).length;
    return n === 1 ? `1 ${kind}` : `${n} ${plurals[kind] ?? kind + 's'}`;
  });
  return parts.length > 1 ? `${parts.slice(0, -1).join(', ')} and ${parts[parts.length - 1]}` : (parts[0] ?? 'nothing');
}

function sizeOf(items: Item[]): string {
  return bytesText(items.reduce((sum, i) => sum + i.bytes, 0));
}
