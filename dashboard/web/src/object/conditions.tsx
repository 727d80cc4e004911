import type { KubeObject } from '../api';
import { Age } from '../ui';

interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

/** Conditions of which True is the bad news; of the others False is. */
const negative = /Pressure$|Failure$|Unavailable$|^Failed$|^Stalled$|^Degraded$|^FailureTarget$|Conflict/;

/** Conditions shows status.conditions as a table. */
export function Conditions({ object }: { object: KubeObject }) {
  const conditions: Condition[] = object.status?.conditions ?? [];
  if (!Array.isArray(conditions) || !conditions.length) return null;
  return (
    <section aria-label="Conditions">
      <h2>Conditions</h2>
      <table class="conditions">
        <thead>
          <tr>
            <th scope="col">Type</th>
            <th scope="col">Status</th>
            <th scope="col">Reason</th>
            <th scope="col">Since</th>
            <th scope="col">Message</th>
          </tr>
        </thead>
        <tbody>
          {conditions.map((c) => (
            <tr key={c.type}>
              <td>{c.type}</td>
              <td class={toneOf(c)}>{c.status}</td>
              <td>{c.reason}</td>
              <td class="nowrap">{c.lastTransitionTime && <Age time={c.lastTransitionTime} />}</td>
              <td class="message">{c.message}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function toneOf(c: Condition): string | undefined {
  if (c.status === 'Unknown') return 'tone-progressing';
  const bad = negative.test(c.type) ? c.status === 'True' : c.status === 'False';
  return bad ? 'tone-failed' : undefined;
}
