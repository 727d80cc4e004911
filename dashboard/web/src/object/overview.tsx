import { useMemo } from 'preact/hooks';
import type { KubeObject } from '../api';
import { type Link, linksOf } from '../links';
import { nameOf, resources } from '../resources';
import { hrefOf } from '../router';
import { Conditions } from './conditions';
import { DataTable } from './data';
import { type Fact, factsOf } from './facts';
import { Ports } from './ports';
import { type Related, versionsOf } from './related';
import { node, treeOf, type TreeNode } from './tree';
import { TreeView } from './treeview';
import type { Owner } from './watch';
import { Why } from './why';

interface Props {
  object: KubeObject;
  deleted: boolean;
  path: string;
  related: Related;
  owners: Owner[];
}

/** Overview says how an object is, why, and what belongs to it. */
export function Overview({ object, deleted, path, related, owners }: Props) {
  const facts = useMemo(() => factsOf(object), [object]);
  const changes = useMemo(() => versionsOf(object, related), [object, related]);
  const links = object.kind === 'Ingress' || object.kind.endsWith('Route') ? linksOf(object) : [];
  return (
    <div class="overview">
      {!deleted && <Why object={object} path={path} changes={changes} />}
      <Tree object={object} related={related} owners={owners} />
      {related.denied.length > 0 && <p class="faint">Not shown, for want of rights: {related.denied.join(', ')}.</p>}
      <Facts facts={facts} links={links} />
      {(object.kind === 'Service' || object.kind === 'Pod') && <Ports object={object} />}
      {(object.kind === 'ConfigMap' || object.kind === 'Secret') && <DataTable object={object} />}
      <Conditions object={object} />
    </div>
  );
}

/** Tree shows the owners above the object, and what belongs to it below. */
function Tree({ object, related, owners }: { object: KubeObject; related: Related; owners: Owner[] }) {
  const nodes = useMemo(() => {
    const own = node(object, treeOf(object, related), { current: true });
    return owners.reduce<TreeNode>((below, owner) => ownerNode(owner, below, object.metadata.namespace), own);
  }, [object, related, owners.map((o) => o.object?.metadata.resourceVersion ?? o.ref.uid).join()]);
  if (related.ready && !nodes.children.length && !owners.length) return null;
  return (
    <section aria-label="Tree">
      <h2>{treeTitle(object.kind)}</h2>
      <TreeView nodes={[nodes]} label={`${object.kind} ${object.metadata.name} and what belongs to it`} />
    </section>
  );
}

function treeTitle(kind: string): string {
  return ['ConfigMap', 'Secret', 'ServiceAccount'].includes(kind) ? 'Used by' : 'What belongs to it';
}

function ownerNode({ ref, object }: Owner, below: TreeNode, namespace: string | undefined): TreeNode {
  if (object) return node(object, [below]);
  const resource = resources.find((r) => r.kind === ref.kind);
  const href =
    resource && hrefOf({ view: 'object', resource: nameOf(resource), namespace: resource.namespaced ? namespace : undefined, name: ref.name });
  return { id: ref.uid, kind: ref.kind, name: ref.name, href, details: [], children: [below], folded: false };
}

function Facts({ facts, links }: { facts: Fact[]; links: Link[] }) {
  if (!facts.length && !links.length) return null;
  return (
    <section aria-label="Facts">
      <h2>Details</h2>
      <dl class="facts">
        {grouped(facts).map(([name, values]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {values.map((fact, i) => (
                <span key={i} class="fact">
                  <FactValue fact={fact} />
                </span>
              ))}
            </dd>
          </div>
        ))}
        {links.length > 0 && (
          <div>
            <dt>On this machine</dt>
            <dd>
              {links.map(({ text, href }) => (
                <span key={text} class="fact">
                  {href ? (
                    <a href={href} target="_blank" rel="noopener noreferrer">
                      {text}
                    </a>
                  ) : (
                    text
                  )}
                </span>
              ))}
            </dd>
          </div>
        )}
      </dl>
    </section>
  );
}

function grouped(facts: Fact[]): [string, Fact[]][] {
  const groups = new Map<string, Fact[]>();
  for (const fact of facts) groups.set(fact.name, [...(groups.get(fact.name) ?? []), fact]);
  return [...groups];
}

function FactValue({ fact }: { fact: Fact }) {
  const resource = fact.link && resources.find((r) => r.kind === fact.link!.kind);
  if (!fact.link || !resource) return <>{fact.value}</>;
  const { name, namespace } = fact.link;
  return (
    <a href={hrefOf({ view: 'object', resource: nameOf(resource), namespace: resource.namespaced ? namespace : undefined, name })}>{fact.value}</a>
  );
}
