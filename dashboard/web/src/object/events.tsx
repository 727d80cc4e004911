import { useMemo } from 'preact/hooks';
import type { KubeObject } from '../api';
import { nameOf, resourceOf } from '../resources';
import { hrefOf } from '../router';
import { useKind } from '../store';
import { Age } from '../ui';
import { descendants, type Related } from './related';

/** More events than this are not shown. */
const maxShown = 500;

interface Reference {
  apiVersion?: string;
  kind: string;
  namespace?: string;
  name: string;
  uid?: string;
}

/** EventList shows events, the newest first. */
export function EventList({ events }: { events: KubeObject[] }) {
  const sorted = useMemo(() => [...events].sort((a, b) => (timeOf(a) < timeOf(b) ? 1 : -1)), [events]);
  if (!sorted.length) return <p class="faint">No events. The API keeps them for an hour.</p>;
  return (
    <>
      <table class="events">
        <thead>
          <tr>
            <th scope="col">Age</th>
            <th scope="col">Type</th>
            <th scope="col">Reason</th>
            <th scope="col">Object</th>
            <th scope="col">Message</th>
            <th scope="col" class="number">
              Count
            </th>
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, maxShown).map((event) => (
            <EventRow key={event.metadata.uid} event={event} />
          ))}
        </tbody>
      </table>
      {sorted.length > maxShown && (
        <p class="faint">
          The newest {maxShown} of {sorted.length} events are shown.
        </p>
      )}
    </>
  );
}

function EventRow({ event }: { event: KubeObject }) {
  const warning = event.type === 'Warning';
  const about = aboutOf(event);
  return (
    <tr>
      <td class="nowrap">
        <Age time={timeOf(event)} />
      </td>
      <td class="nowrap">{warning ? <span class="event-warning">Warning</span> : (event.type ?? 'Normal')}</td>
      <td class="nowrap">{event.reason}</td>
      <td>{about && <ObjectLink about={about} />}</td>
      <td class="message">{event.message ?? event.note}</td>
      <td class="number">{event.count ?? event.series?.count ?? 1}</td>
    </tr>
  );
}

function ObjectLink({ about }: { about: Reference }) {
  const resource = resourceOf({ apiVersion: about.apiVersion ?? 'v1', kind: about.kind });
  const text = `${about.kind} ${about.name}`;
  if (!resource) return <>{text}</>;
  return (
    <a href={hrefOf({ view: 'object', resource: nameOf(resource), namespace: resource.namespaced ? about.namespace : undefined, name: about.name })}>
      {text}
    </a>
  );
}

/** aboutOf is the object that an event is about, in both versions of the events' API. */
function aboutOf(event: KubeObject): Reference | undefined {
  return (event.involvedObject ?? event.regarding) as Reference | undefined;
}

/** timeOf is when it happened last. */
export function timeOf(event: KubeObject): string {
  return (
    event.series?.lastObservedTime ?? event.lastTimestamp ?? event.deprecatedLastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp
  );
}

/** EventsTab shows the events of an object and of everything that it owns. */
export function EventsTab({ object, related }: { object: KubeObject; related: Related }) {
  const events = useEventsOf(object, related);
  return (
    <section aria-label="Events">
      <EventList events={events} />
    </section>
  );
}

function useEventsOf(object: KubeObject, related: Related): KubeObject[] {
  const { objects } = useKind('Event');
  return useMemo(() => {
    const uids = new Set([object, ...descendants(object, related)].map((o) => o.metadata.uid));
    const own = (about: Reference | undefined) =>
      (about && (about.uid ? uids.has(about.uid) : about.kind === object.kind && about.name === object.metadata.name)) || // nodes report with their name as uid
      (about?.kind === 'Node' && object.kind === 'Node' && about.name === object.metadata.name);
    const inside = (event: KubeObject) => object.kind === 'Namespace' && event.metadata.namespace === object.metadata.name;
    return [...objects.values()].filter((e) => own(aboutOf(e)) || inside(e));
  }, [objects, object.metadata.uid, related]);
}
