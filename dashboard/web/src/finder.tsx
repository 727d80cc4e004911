import { useMemo } from 'preact/hooks';
import { Chooser, type Choice } from './chooser';
import { nameOf, useResources } from './resources';
import { currentScope, hrefOf, hrefOfObject } from './router';
import { useKind } from './store';

/** The kinds whose objects are found by their name; the map watches them anyway. */
const kinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'Service', 'Ingress', 'CronJob', 'Pod', 'Node'] as const;

/** Finder goes to a view, a kind's list, or an object, by its name. */
export function Finder({ onClose }: { onClose: () => void }) {
  const resources = useResources();
  const watched = kinds.map((k) => useKind(k).objects);
  const namespace = currentScope();
  const choices = useMemo(() => {
    const views: Choice[] = [
      { id: hrefOf({ view: 'map', namespace }), title: 'Map', detail: 'view' },
      { id: hrefOf({ view: 'events', namespace }), title: 'Events', detail: 'view' },
      { id: hrefOf({ view: 'disk', namespace }), title: 'Images and disk', detail: 'view' },
    ];
    const lists = resources.filter((r) => r.kind !== 'Event').map((r): Choice => ({ id: hrefOf({ view: 'list', resource: nameOf(r), namespace }), title: r.title, detail: nameOf(r) }));
    const objects = watched.flatMap((found, i) =>
      [...found.values()].map((o): Choice => ({ id: hrefOfObject(o), title: o.metadata.name, detail: `${kinds[i]}${o.metadata.namespace ? ' in ' + o.metadata.namespace : ''}` })),
    );
    return [...views, ...lists, ...objects];
  }, [resources.length, ...watched]);
  const choose = (c: Choice) => {
    onClose();
    location.hash = c.id;
  };
  return <Chooser title="Go to" placeholder="A kind, or the name of an object" choices={choices} onChoose={choose} onClose={onClose} />;
}
