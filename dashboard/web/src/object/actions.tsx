import type { ComponentType } from 'preact';
import { useState } from 'preact/hooks';
import type { KubeObject } from '../api';
import type { Resource } from '../resources';
import { Button } from '../ui';
import { type Attributes, useAccess } from './access';
import { ActionDialog } from './actiondialog';
import { restart, runNow, setPaused, setSuspended, setUnschedulable } from './changes';
import { DeleteDialog } from './delete';
import type { Related } from './related';
import { ScaleDialog } from './scale';
import { UndoDialog } from './undo';

/** DialogProps are what each action's dialog gets. */
export interface DialogProps {
  object: KubeObject;
  path: string;
  related: Related;
  onClose(): void;
}

interface Action {
  label: string;
  danger?: boolean;
  access: Partial<Attributes> & { verb: string };
  /** blocked says why it is not possible now. */
  blocked?: string;
  dialog: ComponentType<DialogProps>;
}

const patch = { verb: 'patch' };
const scalable = ['Deployment', 'StatefulSet', 'ReplicaSet', 'ReplicationController'];
const rolling = ['Deployment', 'StatefulSet', 'DaemonSet'];

/** actionsFor lists what can be done with an object, the most used first. */
function actionsFor(o: KubeObject): Action[] {
  const actions: Action[] = [];
  const paused = o.spec?.paused ? 'It is paused. Resume it first.' : undefined;
  if (scalable.includes(o.kind)) actions.push({ label: 'Scale', access: { verb: 'patch', subresource: 'scale' }, dialog: ScaleDialog });
  if (rolling.includes(o.kind)) {
    actions.push({ label: 'Restart', access: patch, blocked: paused, dialog: RestartDialog });
    actions.push({ label: 'Undo', access: patch, blocked: paused, dialog: UndoDialog });
  }
  if (o.kind === 'Deployment') actions.push({ label: o.spec?.paused ? 'Resume' : 'Pause', access: patch, dialog: PauseDialog });
  if (o.kind === 'CronJob') actions.push({ label: 'Run now', access: { verb: 'create', resource: 'jobs' }, dialog: RunDialog });
  if (o.kind === 'CronJob' || (o.kind === 'Job' && !finished(o))) {
    actions.push({ label: o.spec?.suspend ? 'Resume' : 'Suspend', access: patch, dialog: SuspendDialog });
  }
  if (o.kind === 'Node') actions.push({ label: o.spec?.unschedulable ? 'Uncordon' : 'Cordon', access: patch, dialog: CordonDialog });
  actions.push({
    label: 'Delete',
    danger: true,
    access: { verb: 'delete' },
    blocked: o.metadata.deletionTimestamp ? 'It is being deleted.' : undefined,
    dialog: DeleteDialog,
  });
  return actions;
}

function finished(job: KubeObject): boolean {
  return (
    !!job.status?.completionTime ||
    (job.status?.conditions ?? []).some((c: { type: string; status: string }) => c.type === 'Failed' && c.status === 'True')
  );
}

interface BarProps {
  object: KubeObject;
  resource: Resource;
  path: string;
  related: Related;
}

/** ActionBar has a button for each action. */
export function ActionBar({ object, resource, path, related }: BarProps) {
  const [open, setOpen] = useState<string>();
  const actions = actionsFor(object);
  const current = actions.find((a) => a.label === open);
  return (
    <div class="actions" role="group" aria-label="Actions">
      {actions.map((action) => (
        <ActionButton key={action.label} action={action} object={object} resource={resource} onClick={() => setOpen(action.label)} />
      ))}
      {current && <current.dialog object={object} path={path} related={related} onClose={() => setOpen(undefined)} />}
    </div>
  );
}

function ActionButton({ action, object, resource, onClick }: { action: Action; object: KubeObject; resource: Resource; onClick(): void }) {
  const access = useAccess({ group: resource.group, resource: resource.plural, namespace: object.metadata.namespace, ...action.access });
  const reason = access.allowed ? action.blocked : access.reason;
  return (
    <Button danger={action.danger} disabled={!!reason} title={reason || undefined} onClick={onClick}>
      {action.label}
    </Button>
  );
}

function RestartDialog({ object, path, onClose }: DialogProps) {
  const name = `${object.kind} ${object.metadata.name}`;
  return (
    <ActionDialog title={`Restart ${object.metadata.name}`} submit="Restart" done={`${name} restarts`} run={() => restart(path)} onClose={onClose}>
      <p>
        All pods of {name} are replaced, by its update strategy
        {object.spec?.strategy?.type === 'Recreate' ? ' (Recreate: it is down in between)' : ''}.
      </p>
    </ActionDialog>
  );
}

function PauseDialog({ object, path, onClose }: DialogProps) {
  const paused = !!object.spec?.paused;
  const verb = paused ? 'Resume' : 'Pause';
  return (
    <ActionDialog
      title={`${verb} ${object.metadata.name}`}
      submit={verb}
      done={`Deployment ${object.metadata.name} was ${verb.toLowerCase()}d`}
      run={() => setPaused(path, !paused)}
      onClose={onClose}
    >
      <p>
        {paused
          ? 'Changes of its pod template are rolled out again.'
          : 'Changes of its pod template are not rolled out until it is resumed. Its pods go on running.'}
      </p>
    </ActionDialog>
  );
}

function SuspendDialog({ object, path, onClose }: DialogProps) {
  const suspended = !!object.spec?.suspend;
  const verb = suspended ? 'Resume' : 'Suspend';
  const effect =
    object.kind === 'CronJob'
      ? 'No more Jobs are started until it is resumed. Those that run go on.'
      : 'Its running pods are deleted; they are made again when it is resumed.';
  return (
    <ActionDialog
      title={`${verb} ${object.metadata.name}`}
      submit={verb}
      danger={object.kind === 'Job' && !suspended}
      done={`${object.kind} ${object.metadata.name} was ${suspended ? 'resumed' : 'suspended'}`}
      run={() => setSuspended(path, !suspended)}
      onClose={onClose}
    >
      <p>{suspended ? (object.kind === 'CronJob' ? 'Jobs are started by its schedule again.' : 'Its pods are started.') : effect}</p>
    </ActionDialog>
  );
}

function RunDialog({ object, onClose }: DialogProps) {
  return (
    <ActionDialog title={`Run ${object.metadata.name} now`} submit="Run now" done="A Job was started" run={() => runNow(object)} onClose={onClose}>
      <p>A Job is made from the template of CronJob {object.metadata.name}. Its schedule stays as it is.</p>
    </ActionDialog>
  );
}

function CordonDialog({ object, path, onClose }: DialogProps) {
  const cordoned = !!object.spec?.unschedulable;
  const verb = cordoned ? 'Uncordon' : 'Cordon';
  return (
    <ActionDialog
      title={`${verb} ${object.metadata.name}`}
      submit={verb}
      done={`Node ${object.metadata.name} was ${verb.toLowerCase()}ed`}
      run={() => setUnschedulable(path, !cordoned)}
      onClose={onClose}
    >
      <p>{cordoned ? 'New pods are placed on this node again.' : 'No new pods are placed on this node. Those that run there go on.'}</p>
    </ActionDialog>
  );
}
