import { useEffect, useState } from 'preact/hooks';
import { Age } from '../ui';
import { ActionDialog } from './actiondialog';
import type { DialogProps } from './actions';
import { type Revision, revisionsOf, undo } from './changes';

/** UndoDialog gives a workload the pod template of an earlier revision. */
export function UndoDialog({ object, path, onClose }: DialogProps) {
  const [revisions, setRevisions] = useState<Revision[]>();
  const [chosen, setChosen] = useState<number>();
  const [error, setError] = useState('');
  useEffect(() => {
    revisionsOf(object).then(
      (list) => {
        setRevisions(list);
        setChosen(list.find((r) => !r.current)?.number);
      },
      (err: Error) => setError(err.message),
    );
  }, []);
  const revision = revisions?.find((r) => r.number === chosen);
  const name = object.metadata.name;
  return (
    <ActionDialog
      title={`Undo ${name}`}
      submit={revision ? `Go back to revision ${revision.number}` : 'Go back'}
      disabled={!revision}
      done={`${object.kind} ${name} goes back to revision ${chosen}`}
      run={() => undo(object, path, revision!)}
      onClose={onClose}
    >
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {!revisions && !error && <p class="faint">Loading the revisions</p>}
      {revisions && revisions.length < 2 && <p>There is no earlier revision.</p>}
      {revisions && revisions.length > 1 && (
        <div role="radiogroup" aria-label="Revisions" class="revisions">
          {revisions.map((r) => (
            <RevisionRow key={r.number} revision={r} checked={r.number === chosen} onChoose={() => setChosen(r.number)} />
          ))}
        </div>
      )}
    </ActionDialog>
  );
}

function RevisionRow({ revision: r, checked, onChoose }: { revision: Revision; checked: boolean; onChoose(): void }) {
  return (
    <label class={`revision${r.current ? ' faint' : ''}`}>
      <input type="radio" name="revision" checked={checked} disabled={r.current} onChange={onChoose} />
      <span>
        <strong>Revision {r.number}</strong> {r.current ? '(current)' : <Age time={r.created} />}
        {r.images.map((image, i) => (
          <code key={i} class="block">
            {image}
          </code>
        ))}
        {r.cause && <span class="block faint">{r.cause}</span>}
      </span>
    </label>
  );
}
