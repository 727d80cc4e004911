import { useEffect, useState } from 'preact/hooks';
import { type KubeObject, own } from '../api';
import { linksOf } from '../links';
import { Button, notify } from '../ui';
import { useAccess } from './access';

/** Forward is a port of a pod or Service that the daemon serves on this machine. */
interface Forward {
  id: string;
  namespace: string;
  kind: 'pod' | 'service';
  name: string;
  port: number;
  address: string;
}

interface Port {
  port: number;
  name: string;
  protocol: string;
  nodePort?: number;
}

/** The list is shared by all views; each change tells those that show it. */
let forwards: Forward[] = [];
const listeners = new Set<() => void>();

function setForwards(next: Forward[]): void {
  forwards = next;
  for (const l of listeners) l();
}

function useForwards(): Forward[] {
  const [, render] = useState(0);
  useEffect(() => {
    const listener = () => render((n) => n + 1);
    listeners.add(listener);
    own<Forward[]>('GET', '/forwards').then(setForwards, () => {});
    return () => void listeners.delete(listener);
  }, []);
  return forwards;
}

/** Ports lists the ports of a pod or Service, each with a way to reach it from this machine. */
export function Ports({ object }: { object: KubeObject }) {
  const ports = portsOf(object);
  const all = useForwards();
  const kind = object.kind === 'Service' ? 'service' : 'pod';
  const { name, namespace = '' } = object.metadata;
  const access = useAccess({ verb: 'create', group: '', resource: 'pods', subresource: 'portforward', namespace });
  if (!ports.length) return null;
  return (
    <section aria-label="Ports">
      <h2>Ports</h2>
      <ul class="ports">
        {ports.map((p) => {
          const forward = all.find((f) => f.kind === kind && f.namespace === namespace && f.name === name && f.port === p.port);
          return (
            <li key={`${p.port}/${p.protocol}`}>
              <span class="port-number">
                {p.port}/{p.protocol}
              </span>
              <span class="faint">{p.name}</span>
              {p.nodePort && <NodePort service={object} nodePort={p.nodePort} />}
              {p.protocol === 'TCP' ? (
                <ForwardButton forward={forward} target={{ namespace, kind, name, port: p.port }} reason={access.allowed ? '' : access.reason} />
              ) : (
                <span class="faint">{p.protocol} is not forwarded</span>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function portsOf(o: KubeObject): Port[] {
  if (o.kind === 'Service') {
    return (o.spec?.ports ?? []).map((p: any): Port => ({ port: p.port, name: p.name ?? '', protocol: p.protocol ?? 'TCP', nodePort: p.nodePort }));
  }
  const containers = [
    ...(o.spec?.containers ?? []),
    ...(o.spec?.initContainers ?? []).filter((c: { restartPolicy?: string }) => c.restartPolicy === 'Always'),
  ];
  return containers.flatMap((c: any) =>
    (c.ports ?? []).map((p: any): Port => ({ port: p.containerPort, name: p.name ?? c.name, protocol: p.protocol ?? 'TCP' })),
  );
}

function NodePort({ service, nodePort }: { service: KubeObject; nodePort: number }) {
  const link = linksOf(service).find((l) => l.text === `:${nodePort}`);
  if (!link?.href) return <span class="faint">node port {nodePort}</span>;
  return (
    <a href={link.href} target="_blank" rel="noopener noreferrer" title="The node port, on this machine">
      {link.href}
    </a>
  );
}

function ForwardButton({ forward, target, reason }: { forward: Forward | undefined; target: Omit<Forward, 'id' | 'address'>; reason: string }) {
  const [busy, setBusy] = useState(false);
  const run = async (change: () => Promise<void>) => {
    setBusy(true);
    try {
      await change();
    } catch (err) {
      notify((err as Error).message, 'error');
    }
    setBusy(false);
  };
  if (!forward) {
    const start = async () => {
      const made = await own<Forward>('POST', '/forwards', target);
      setForwards([...forwards, made]);
    };
    return (
      <Button disabled={busy || !!reason} title={reason || `Serve port ${target.port} on this machine`} onClick={() => void run(start)}>
        Forward
      </Button>
    );
  }
  const stop = async () => {
    await own('DELETE', `/forwards/${forward.id}`);
    setForwards(forwards.filter((f) => f.id !== forward.id));
  };
  const url = `http://${forward.address}`;
  return (
    <span class="forward">
      <a href={url} target="_blank" rel="noopener noreferrer">
        {url}
      </a>
      <Button disabled={busy} onClick={() => void run(stop)}>
        Stop
      </Button>
    </span>
  );
}
