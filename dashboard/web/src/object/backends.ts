// Where Ingresses and routes lead.

import type { KubeObject } from '../api';

export interface Backend {
  match: string; // host and path
  service: string;
  namespace?: string;
  port: string;
}

/** backendsOf lists where an Ingress or a route leads. */
export function backendsOf(o: KubeObject): Backend[] {
  if (o.kind === 'Ingress') {
    const list: Backend[] = [];
    const push = (match: string, b: { service?: { name: string; port?: { number?: number; name?: string } } } | undefined) => {
      if (b?.service) list.push({ match, service: b.service.name, port: String(b.service.port?.number ?? b.service.port?.name ?? '') });
    };
    push('all other requests', o.spec?.defaultBackend);
    for (const rule of o.spec?.rules ?? []) {
      for (const path of rule.http?.paths ?? []) push((rule.host ?? '*') + (path.path ?? '/'), path.backend);
    }
    return list;
  }
  const hosts = (o.spec?.hostnames ?? []).join(', ');
  return (o.spec?.rules ?? []).flatMap((rule: any) =>
    (rule.backendRefs ?? [])
      .filter((b: any) => (b.kind ?? 'Service') === 'Service')
      .map((b: any): Backend => ({ match: `${hosts}${pathsOf(rule) || '/'}`, service: b.name, namespace: b.namespace, port: String(b.port ?? '') })),
  );
}

function pathsOf(rule: { matches?: { path?: { value?: string }; method?: { service?: string; method?: string } | string }[] }): string {
  return (rule.matches ?? [])
    .map((m) => m.path?.value ?? '')
    .filter(Boolean)
    .join(', ');
}
