// Disk space of the nodes: their file systems, the images that they hold, and what prune would remove.

import { useEffect, useMemo, useState } from 'preact/hooks';
import { get, type KubeObject } from './api';
import { PruneDialog } from './object/prune';
import { byName } from './object/related';
import { hrefOfObject } from './router';
import { useKind } from './store';
import { Button } from './ui';
import { bytesText } from './units';

interface FileSystem {
  capacityBytes?: number;
  usedBytes?: number;
  availableBytes?: number;
}

interface Summary {
  node?: { fs?: FileSystem; runtime?: { imageFs?: FileSystem } };
}

/** How often the file systems are measured again. */
const interval = 15_000; // ms

/** Disk is the view of all nodes' disks. */
export function Disk() {
  const nodes = useKind('Node');
  const pods = useKind('Pod');
  if (nodes.denied) return <p class="loading">You may not list nodes.</p>;
  if (!nodes.ready) return <p class="loading">Loading</p>;
  return (
    <div class="disk view">
      <h1>Images and disk</h1>
      {byName([...nodes.objects.values()]).map((node) => (
        <NodeDisk key={node.metadata.uid} node={node} pods={pods.objects} />
      ))}
    </div>
  );
}

function NodeDisk({ node, pods }: { node: KubeObject; pods: Map<string, KubeObject> }) {
  const [turn, setTurn] = useState(0);
  const [pruning, setPruning] = useState(false);
  const { summary, error } = useSummary(node.metadata.name, turn);
  const fs = summary?.node?.fs;
  const imageFs = summary?.node?.runtime?.imageFs;
  return (
    <section class="disk-node" aria-label={`Node ${node.metadata.name}`}>
      <header class="bar">
        <h2>
          Node <a href={hrefOfObject(node)}>{node.metadata.name}</a>
        </h2>
        <span class="spacer" />
        <Button onClick={() => setPruning(true)}>Prune</Button>
      </header>
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      <div class="disk-bars">
        {fs && <Bar title="Disk of the node" fs={fs} />}
        {imageFs && <Bar title="Images" fs={imageFs} shared={imageFs.capacityBytes === fs?.capacityBytes} />}
      </div>
      <Images node={node} pods={pods} turn={turn} />
      {pruning && <PruneDialog node={node.metadata.name} onDone={() => setTurn(turn + 1)} onClose={() => setPruning(false)} />}
    </section>
  );
}

/** useSummary asks the kubelet again from time to time while the page is visible. */
function useSummary(node: string, turn: number): { summary?: Summary; error: string } {
  const [answer, setAnswer] = useState<{ summary?: Summary; error: string }>({ error: '' });
  useEffect(() => {
    let current = true;
    const ask = () => {
      if (document.hidden) return;
      get<Summary>(`/api/v1/nodes/${node}/proxy/stats/summary`).then(
        (summary) => current && setAnswer({ summary, error: '' }),
        (err: Error) => current && setAnswer({ error: err.message }),
      );
    };
    ask();
    const timer = window.setInterval(ask, interval);
    return () => {
      current = false;
      window.clearInterval(timer);
    };
  }, [node, turn]);
  return answer;
}

/** Above these shares of the disk it is nearly full; the kubelet evicts pods at 85 to 90 percent. */
const high = 0.8;
const critical = 0.9;

/** Bar is what is used of a file system. shared: the images are on the node's disk, so only their own size counts. */
function Bar({ title, fs, shared }: { title: string; fs: FileSystem; shared?: boolean }) {
  const total = fs.capacityBytes ?? 0;
  const used = shared ? (fs.usedBytes ?? 0) : total - (fs.availableBytes ?? total - (fs.usedBytes ?? 0));
  if (!total) return null;
  const share = Math.min(1, used / total);
  const tone = shared ? '' : share >= critical ? ' failed' : share >= high ? ' progressing' : '';
  const text = shared ? `${bytesText(used)}, on the same disk` : `${bytesText(used)} of ${bytesText(total)} used, ${bytesText(total - used)} free`;
  return (
    <div class="disk-bar">
      <div class="disk-bar-text">
        <strong>{title}</strong> <span>{text}</span>
        {tone && <span class={`tone-${tone.trim()}`}> nearly full</span>}
      </div>
      <div class="meter" role="meter" aria-label={title} aria-valuemin={0} aria-valuemax={total} aria-valuenow={used} aria-valuetext={text}>
        <div class={`meter-used${tone}`} style={{ width: `${share * 100}%` }} />
      </div>
    </div>
  );
}

interface NodeImage {
  names?: string[];
  sizeBytes?: number;
}

interface ImageRow {
  id: string;
  name: string;
  others: string[];
  size: number;
  pods: KubeObject[];
}

/** useImages are all images of a node of kube-lite, or those of its status, which has the largest. */
function useImages(node: KubeObject, turn: number): NodeImage[] {
  const name = node.metadata.name;
  const [images, setImages] = useState<NodeImage[]>();
  useEffect(() => {
    let current = true;
    get<NodeImage[]>(`/api/v1/nodes/${name}/proxy/images`).then(
      (all) => current && setImages(all),
      () => current && setImages(undefined),
    );
    return () => {
      current = false;
    };
  }, [name, turn]);
  return images ?? node.status?.images ?? [];
}

/** Images lists those of a node by size, with the pods that use them. */
function Images({ node, pods, turn }: { node: KubeObject; pods: Map<string, KubeObject>; turn: number }) {
  const [unusedOnly, setUnusedOnly] = useState(false);
  const images = useImages(node, turn);
  const rows = useMemo(() => imageRows(node.metadata.name, images, [...pods.values()]), [node.metadata.name, images, pods]);
  const unused = rows.filter((r) => !r.pods.length);
  const shown = unusedOnly ? unused : rows;
  const sum = (list: ImageRow[]) => bytesText(list.reduce((total, r) => total + r.size, 0));
  if (!rows.length) return <p class="faint">The node reports no images.</p>;
  return (
    <>
      <div class="bar">
        <span>
          {rows.length} images, {sum(rows)}; {unused.length} used by no pod, {sum(unused)}
        </span>
        <label class="check">
          <input type="checkbox" checked={unusedOnly} onChange={(e) => setUnusedOnly(e.currentTarget.checked)} />
          Only unused ones
        </label>
      </div>
      <table class="images">
        <thead>
          <tr>
            <th scope="col">Image</th>
            <th scope="col" class="number">
              Size
            </th>
            <th scope="col">Used by</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={row.id}>
              <td>
                <code>{row.name}</code>
                {row.others.map((name) => (
                  <code key={name} class="block faint">
                    {name}
                  </code>
                ))}
              </td>
              <td class="number">{bytesText(row.size)}</td>
              <td>
                <Users pods={row.pods} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

/** More users than this are counted only. */
const shownUsers = 3;

function Users({ pods }: { pods: KubeObject[] }) {
  if (!pods.length) return <span class="faint">no pod</span>;
  const rest = pods.length - shownUsers;
  return (
    <>
      {pods.slice(0, shownUsers).map((pod, i) => (
        <span key={pod.metadata.uid}>
          {i > 0 && ', '}
          <a href={hrefOfObject(pod)}>{pod.metadata.name}</a>
        </span>
      ))}
      {rest > 0 && ` and ${rest} more`}
    </>
  );
}

function imageRows(node: string, images: NodeImage[], pods: KubeObject[]): ImageRow[] {
  const users = new Map<string, Set<KubeObject>>();
  const use = (name: string | undefined, pod: KubeObject) => {
    if (!name) return;
    const key = canonical(name);
    const set = users.get(key) ?? new Set();
    users.set(key, set.add(pod));
  };
  for (const pod of pods) {
    if (pod.spec?.nodeName !== node) continue;
    for (const c of [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])]) use(c.image, pod);
    for (const s of [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])]) use(s.imageID, pod);
  }
  const rows = images.map((image): ImageRow => {
    const names = image.names ?? [];
    const tags = names.filter((n) => !n.includes('@'));
    const name = tags[0] ?? names[0] ?? 'without a name';
    const pods = new Set(names.flatMap((n) => [...(users.get(canonical(n)) ?? [])]));
    return { id: names.join() || name, name, others: tags.slice(1), size: image.sizeBytes ?? 0, pods: byName([...pods]) };
  });
  return rows.sort((a, b) => b.size - a.size);
}

/** canonical is an image's whole name: nginx is docker.io/library/nginx:latest. */
function canonical(name: string): string {
  let rest = name.replace(/^docker-pullable:\/\//, '').replace(/^docker:\/\//, '');
  if (/^sha256:[\da-f]{64}$/.test(rest)) return rest;
  const first = rest.split('/')[0]!;
  const hasHost = rest.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  if (!hasHost) rest = `docker.io/${rest.includes('/') ? '' : 'library/'}${rest}`;
  return rest.includes('@') || rest.slice(rest.lastIndexOf('/')).includes(':') ? rest : `${rest}:latest`;
}
