import type { ComponentChildren } from 'preact';
import { healthOf } from '../health';
import { type Link, linksOf } from '../links';
import { hrefOf, hrefOfObject } from '../router';
import { Mark } from '../ui';
import type { EntryNode, ServiceNode, WorkloadNode } from './model';
import { Squares } from './squares';
import { rateText } from '../units';

/** More links than this in a card are a number. */
const maxLinks = 3;

export type Lit = (id: string) => string; // the class of a node while another one is under the pointer

interface CardProps {
  id: string;
  class: string;
  kind: string;
  name: string;
  href?: string;
  mark: ComponentChildren;
  children?: ComponentChildren;
}

function Card({ id, class: extra, kind, name, href, mark, children }: CardProps) {
  return (
    <div class={`card ${extra}`} data-id={id}>
      <div class="card-title">
        {mark}
        {href ? (
          <a class="card-name" href={href} title={`${kind} ${name}`}>
            {name}
          </a>
        ) : (
          <span class="card-name">{name}</span>
        )}
        <span class="card-kind">{kind}</span>
      </div>
      {children}
    </div>
  );
}

export function EntryCard({ node, lit }: { node: EntryNode; lit: Lit }) {
  const own = healthOf(node.object);
  const problem = node.problem ?? (own.health === 'ok' ? undefined : (own.why ?? own.text));
  const health = node.problem ? 'failed' : own.health;
  return (
    <Card id={node.id} class={`${lit(node.id)} ${health}`} kind={node.object.kind} name={node.object.metadata.name} href={hrefOfObject(node.object)} mark={<Mark health={health} />}>
      <Links links={linksOf(node.object)} />
      {problem && <Problem text={problem} health={health} />}
    </Card>
  );
}

export function ServiceCard({ node, lit }: { node: ServiceNode; lit: Lit }) {
  const { object: o } = node;
  const missing = o ? '' : 'missing';
  return (
    <Card id={node.id} class={`${lit(node.id)} ${node.health} ${missing}`} kind="Service" name={node.name} href={o && hrefOfObject(o)} mark={<Mark health={node.health} />}>
      {o && (
        <div class="card-line">
          <span>{typeText(o.spec)}</span>
          {o.spec?.type !== 'ExternalName' && <span>{portsText(o.spec?.ports)}</span>}
        </div>
      )}
      {o && <Links links={linksOf(o)} />}
      {node.problem && <Problem text={node.problem} health={node.health} />}
    </Card>
  );
}

function typeText(spec: { type?: string; clusterIP?: string; externalName?: string; selector?: object }): string {
  if (spec.type === 'ExternalName') return `External: ${spec.externalName}`;
  const type = spec.clusterIP === 'None' ? 'Headless' : (spec.type ?? 'ClusterIP');
  return spec.selector ? type : `${type}, no selector`;
}

function portsText(ports: { port: number; targetPort?: number | string; protocol?: string }[] = []): string {
  const texts = ports.map((p) => {
    const target = p.targetPort !== undefined && p.targetPort !== p.port ? ` → ${p.targetPort}` : '';
    return `${p.port}${target}${p.protocol && p.protocol !== 'TCP' ? '/' + p.protocol : ''}`;
  });
  return texts.length > 2 ? `${texts.slice(0, 2).join(', ')}, +${texts.length - 2}` : texts.join(', ');
}

function Links({ links }: { links: Link[] }) {
  if (!links.length) return null;
  return (
    <div class="card-links">
      {links.slice(0, maxLinks).map((l) =>
        l.href ? (
          <a key={l.text} href={l.href} target="_blank" rel="noopener noreferrer" title={`Open ${l.href}`}>
            {l.text}
            <OpenSign />
          </a>
        ) : (
          <span key={l.text} class="faint">
            {l.text}
          </span>
        ),
      )}
      {links.length > maxLinks && <span class="faint">+{links.length - maxLinks}</span>}
    </div>
  );
}

/** OpenSign says that a link opens a tab of its own. */
export function OpenSign() {
  return (
    <svg class="open-sign" viewBox="0 0 10 10" width="9" height="9" role="img" aria-label="opens in a new tab">
      <path d="M3.5 2H8v4.5M8 2L2 8" />
    </svg>
  );
}

function Problem({ text, health }: { text: string; health: string }) {
  return (
    <div class={`problem-line ${health}`} title={text}>
      {text}
    </div>
  );
}

/** WorkloadRow is a workload, its pods, and why it is not well. */
export function WorkloadRow({ node, lit, rate }: { node: WorkloadNode; lit: Lit; rate: number }) {
  const href = node.object && hrefOfObject(node.object);
  const more = href ?? hrefOf({ view: 'list', resource: 'pods', namespace: node.namespace });
  return (
    <div class="workload-row" data-id={node.id}>
      <Card id={node.id} class={`workload ${lit(node.id)} ${node.health}`} kind={node.kind} name={node.name} href={href} mark={<Mark health={node.health} />}>
        <div class="card-line">{node.text}</div>
      </Card>
      <div class={`pods ${lit(node.id)}`}>
        <Squares pods={node.pods} more={more} label={`Pods of ${node.name}`} />
        {node.why && <Problem text={node.why} health={node.health} />}
        {rate > 0 && <span class="visually-hidden">Traffic: {rateText(rate)}</span>}
      </div>
    </div>
  );
}
