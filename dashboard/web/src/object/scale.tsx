import { useState } from 'preact/hooks';
import { ActionDialog } from './actiondialog';
import type { DialogProps } from './actions';
import { scale } from './changes';

/** ScaleDialog changes the number of replicas. */
export function ScaleDialog({ object, path, onClose }: DialogProps) {
  const now: number = object.spec?.replicas ?? 1;
  const [replicas, setReplicas] = useState(String(now));
  const wanted = Number(replicas);
  const valid = /^\d+$/.test(replicas);
  const name = object.metadata.name;
  return (
    <ActionDialog
      title={`Scale ${name}`}
      submit="Scale"
      disabled={!valid || wanted === now}
      done={`${object.kind} ${name} is scaled to ${wanted}`}
      run={() => scale(path, wanted)}
      onClose={onClose}
    >
      <label class="field">
        Replicas
        <input type="number" min={0} max={10_000} step={1} autofocus value={replicas} onInput={(e) => setReplicas(e.currentTarget.value)} />
      </label>
      <p class="faint">{hint(now, valid ? wanted : now)}</p>
    </ActionDialog>
  );
}

function hint(now: number, wanted: number): string {
  if (wanted === now) return `It has ${now} now.`;
  if (wanted === 0) return `It has ${now} now. All of its pods are deleted.`;
  const change = Math.abs(wanted - now);
  const pods = change === 1 ? '1 pod' : `${change} pods`;
  return `It has ${now} now. ${pods} ${change === 1 ? 'is' : 'are'} ${wanted > now ? 'started' : 'deleted'}.`;
}
