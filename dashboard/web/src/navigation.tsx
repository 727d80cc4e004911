import { nameOf, type Resource, type Section, sections, useResources } from './resources';
import { currentScope, hrefOf, type Place } from './router';
import { Icon } from './header';

const views: { view: 'map' | 'events' | 'disk'; title: string; icon: string }[] = [
  { view: 'map', title: 'Map', icon: 'M2 8h3M11 4.5h3M11 11.5h3M5 8c3 0 3-3.5 6-3.5M5 8c3 0 3 3.5 6 3.5' },
  { view: 'events', title: 'Events', icon: 'M3 4h10M3 8h10M3 12h6' },
  { view: 'disk', title: 'Images and disk', icon: 'M3 4.5C3 3.1 13 3.1 13 4.5v7c0 1.4-10 1.4-10 0zM3 4.5c0 1.4 10 1.4 10 0M3 8c0 1.4 10 1.4 10 0' },
];
/** Sections with so much in them, or so rarely used, that they are closed at first. */
const closed: Section[] = ['Access', 'More kinds'];

/** Navigation leads to every view and to the list of every kind. */
export function Navigation({ place }: { place: Place }) {
  const resources = useResources();
  const namespace = currentScope();
  return (
    <nav id="navigation" class="navigation" aria-label="Views and kinds">
      <ul>
        {views.map((v) => (
          <li key={v.view}>
            <a href={hrefOf({ view: v.view, namespace })} aria-current={place.view === v.view ? 'page' : undefined}>
              <Icon d={v.icon} />
              {v.title}
            </a>
          </li>
        ))}
      </ul>
      {sections.map((section) => (
        <Kinds key={section} section={section} place={place} resources={resources.filter((r) => r.section === section && r.kind !== 'Event')} />
      ))}
    </nav>
  );
}

function Kinds({ section, resources, place }: { section: Section; resources: Resource[]; place: Place }) {
  if (!resources.length) return null;
  const isHere = (r: Resource) => nameOf(r) === place.resource;
  return (
    <details open={!closed.includes(section) || resources.some(isHere)}>
      <summary>{section}</summary>
      <ul>
        {resources.map((r) => (
          <li key={nameOf(r)}>
            <a
              href={hrefOf({ view: 'list', resource: nameOf(r), namespace: currentScope() })}
              aria-current={isHere(r) ? (place.view === 'list' ? 'page' : 'true') : undefined}
              title={r.group ? `${r.kind}, ${r.group}/${r.version}` : r.kind}
            >
              {r.title}
            </a>
          </li>
        ))}
      </ul>
    </details>
  );
}
