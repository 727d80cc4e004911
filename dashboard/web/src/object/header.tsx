import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { KubeObject } from '../api';
import { healthOf } from '../health';
import { nameOf, type Resource, resourceOf } from '../resources';
import { hrefOf } from '../router';
import { Age, Badge } from '../ui';
import type { Owner } from './watch';

interface Props {
  object: KubeObject;
  resource: Resource;
  owners: Owner[];
  deleted: boolean;
  children: ComponentChildren; // the actions
}

/** More labels than this are folded. */
const shownLabels = 6;

/** Header names an object, and says how it is. */
export function Header({ object, resource, owners, deleted, children }: Props) {
  const { name, namespace, creationTimestamp } = object.metadata;
  const { health, text } = healthOf(object);
  const owner = owners[0];
  return (
    <header class="object-header">
      <div class="object-title">
        <a class="object-kind" href={hrefOf({ view: 'list', resource: nameOf(resource), namespace: resource.namespaced ? namespace : undefined })}>
          {object.kind}
        </a>
        <h1>{name}</h1>
        {deleted ? <Badge health="idle" text="Deleted" /> : text && <Badge health={health} text={text} />}
      </div>
      <div class="object-actions">{children}</div>
      <div class="object-meta">
        {namespace && (
          <span>
            in <a href={hrefOf({ view: 'map', namespace })}>{namespace}</a>
          </span>
        )}
        <span>
          <Age time={creationTimestamp} /> old
        </span>
        {owner && (
          <span>
            owned by <OwnerLink owner={owner} namespace={namespace} />
          </span>
        )}
        <Labels object={object} resource={resource} />
      </div>
    </header>
  );
}

function OwnerLink({ owner, namespace }: { owner: Owner; namespace: string | undefined }) {
  const { ref } = owner;
  const resource = resourceOf(ref);
  const text = `${ref.kind} ${ref.name}`;
  if (!resource) return <>{text}</>;
  return (
    <a href={hrefOf({ view: 'object', resource: nameOf(resource), namespace: resource.namespaced ? namespace : undefined, name: ref.name })}>
      {text}
    </a>
  );
}

/** Labels are chips that lead to the list of what has the same label. */
function Labels({ object, resource }: { object: KubeObject; resource: Resource }) {
  const [all, setAll] = useState(false);
  const labels = Object.entries(object.metadata.labels ?? {});
  if (!labels.length) return null;
  const shown = all ? labels : labels.slice(0, shownLabels);
  const list = hrefOf({ view: 'list', resource: nameOf(resource), namespace: object.metadata.namespace });
  return (
    <ul class="labels" aria-label="Labels">
      {shown.map(([key, value]) => (
        <li key={key}>
          <a class="chip" href={`${list}?filter=${encodeURIComponent(`${key}=${value}`)}`} title={`${resource.title} with ${key}=${value}`}>
            <span class="chip-key">{key}</span>={value}
          </a>
        </li>
      ))}
      {labels.length > shownLabels && (
        <li>
          <button type="button" class="link" onClick={() => setAll(!all)}>
            {all ? 'Fewer' : `${labels.length - shownLabels} more`}
          </button>
        </li>
      )}
    </ul>
  );
}
