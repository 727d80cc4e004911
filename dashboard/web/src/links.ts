// Where a browser on this machine reaches what runs: NodePorts, and the hosts of Ingresses and routes.

import { type KubeObject, session } from './api';

export interface Link {
  text: string;
  href?: string; // undefined: nothing listens for it
}

interface ServicePort {
  name?: string;
  port: number;
  protocol?: string;
  nodePort?: number;
}

export function linksOf(o: KubeObject): Link[] {
  if (o.kind === 'Service') return serviceLinks(o);
  if (o.kind === 'Ingress') return ingressLinks(o);
  const hosts: string[] = o.spec?.hostnames ?? [];
  return hosts.map((h) => hostLink(h, o.kind === 'TLSRoute', o.kind === 'HTTPRoute' ? routePath(o) : '/'));
}

function serviceLinks(o: KubeObject): Link[] {
  const ports: ServicePort[] = o.spec?.ports ?? [];
  return ports
    .filter((p) => p.nodePort && (p.protocol ?? 'TCP') === 'TCP')
    .map((p) => {
      const secure = p.name === 'https' || p.port === 443 || p.port === 8443;
      return { text: `:${p.nodePort}`, href: `${secure ? 'https' : 'http'}://localhost:${p.nodePort}/` };
    });
}

function ingressLinks(o: KubeObject): Link[] {
  const secure = new Set<string>((o.spec?.tls ?? []).flatMap((t: { hosts?: string[] }) => t.hosts ?? []));
  const rules: { host?: string; http?: { paths?: { path?: string; pathType?: string }[] } }[] = o.spec?.rules ?? [];
  const found = new Map<string, Link>();
  for (const rule of rules) {
    const host = rule.host ?? 'localhost';
    const path = rule.http?.paths?.[0];
    const link = hostLink(host, secure.has(host), path?.pathType === 'ImplementationSpecific' ? '/' : (path?.path ?? '/'));
    if (!found.has(host)) found.set(host, link);
  }
  return [...found.values()];
}

function routePath(o: KubeObject): string {
  const path = o.spec?.rules?.[0]?.matches?.[0]?.path;
  return path && path.type !== 'RegularExpression' ? (path.value ?? '/') : '/';
}

function hostLink(host: string, secure: boolean, path: string): Link {
  const port = secure ? session.httpsPort : session.httpPort;
  const shown = host + (path === '/' ? '' : path);
  if (!port || host.includes('*')) return { text: shown };
  const usual = secure ? 443 : 80;
  return { text: shown, href: `${secure ? 'https' : 'http'}://${host}${port === usual ? '' : ':' + port}${path}` };
}
