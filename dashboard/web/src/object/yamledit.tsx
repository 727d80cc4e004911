import { Fragment } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { get, type KubeObject } from '../api';
import { Button, Confirm, notify } from '../ui';
import { DiffView } from './diffview';
import { Editor } from './editor';
import { type Conflict, type Mode, type Outcome, readYaml, writeYaml } from './objects';
import { withoutBlock } from './yaml';

/** Draft is an edit that was begun. It is kept while the user looks at other views. */
export interface Draft {
  start: string;
  text: string;
  /** began is the object's declaration when the edit began. */
  began: string;
}

const drafts = new Map<string, Draft>();

export function draftOf(path: string): Draft | undefined {
  return drafts.get(path);
}

/** An object may change between the two answers that a draft is made of; they are asked for so often at most. */
const attempts = 4;

/** newDraft leaves the status out, which the server ignores; custom kinds may have it as a field like others. */
export async function newDraft(path: string): Promise<Draft> {
  for (let n = 1; ; n++) {
    const yaml = await readYaml(path);
    const object = await get<KubeObject>(path);
    if (n < attempts && versionLine.exec(yaml)?.[2] !== object.metadata.resourceVersion) continue;
    const builtIn = !object.apiVersion.includes('.') || object.apiVersion.includes('.k8s.io/');
    const start = builtIn ? withoutBlock(yaml, 'status') : yaml;
    return { start, text: start, began: declared(object) };
  }
}

const versionLine = /^( {2}resourceVersion:) "?(\d+)"?.*$/m;

/** declared is what people change of an object: all but what the server writes. */
function declared(o: KubeObject): string {
  const { status: _, metadata, ...rest } = o;
  const { labels, annotations, ownerReferences } = metadata;
  return JSON.stringify([rest, labels, annotations, ownerReferences]);
}

/** withVersion puts a resource version into a text that has one. */
function withVersion(text: string, version: string): string {
  return text.replace(versionLine, `$1 "${version}"`);
}

interface EditProps {
  object: KubeObject;
  path: string;
  draft: Draft;
  onDone(): void;
}

interface Edit {
  draft: Draft;
  changed: boolean;
  mode: Mode;
  outcome: Outcome | undefined;
  busy: boolean;
  setDraft(draft: Draft): void;
  setMode(mode: Mode): void;
  back(): void; // from the review to the text
  run(dryRun: boolean, force?: boolean): Promise<void>;
}

/** useEdit is the state of an edit. force is taken back by every change of what would be saved. */
function useEdit({ object, path, draft: first, onDone }: EditProps): Edit {
  const [draft, setDraftState] = useState(first);
  const [mode, setModeState] = useState<Mode>('apply');
  const [outcome, setOutcome] = useState<Outcome>();
  const [forced, setForced] = useState(false);
  const [busy, setBusy] = useState(false);
  const reset = () => {
    setOutcome(undefined);
    setForced(false);
  };
  const setDraft = (next: Draft) => {
    drafts.set(path, next);
    setDraftState(next);
    reset();
  };
  const run = async (dryRun: boolean, force = forced) => {
    setBusy(true);
    setForced(force);
    const yaml = await currentText(draft, path);
    const result = await writeYaml({ yaml, mode, dryRun, force, namespace: object.metadata.namespace });
    setBusy(false);
    setOutcome(result);
    if (!result.ok || dryRun) return;
    notify(`${object.kind} ${object.metadata.name} was saved`);
    drafts.delete(path);
    onDone();
  };
  const setMode = (next: Mode) => {
    setModeState(next);
    reset();
  };
  return { draft, changed: draft.text !== draft.start, mode, outcome, busy, setDraft, setMode, back: () => setOutcome(undefined), run };
}

/**
 * currentText is what is sent. The resource version in it has the server refuse what somebody else has changed meanwhile; of an object
 * of which only the status has changed, which some do all the time, it is the current one.
 */
async function currentText(draft: Draft, path: string): Promise<string> {
  try {
    const now = await get<KubeObject>(path);
    return declared(now) === draft.began ? withVersion(draft.text, now.metadata.resourceVersion) : draft.text;
  } catch {
    return draft.text; // the server says what is wrong
  }
}

/** YamlEdit edits an object as YAML: the text, a review of what it would change, and the saving. */
export function YamlEdit(props: EditProps) {
  const { object, path, onDone } = props;
  const edit = useEdit(props);
  const { draft, changed, outcome } = edit;
  const reviewed = outcome?.ok ? outcome : undefined;
  const refused = outcome && !outcome.ok ? outcome : undefined;
  const leave = () => {
    drafts.delete(path);
    onDone();
  };
  useUnsaved(changed);

  return (
    <section class="yaml" aria-label="Edit YAML">
      <EditBar edit={edit} reviewed={!!reviewed} onLeave={leave} />
      {declared(object) !== draft.began && (
        <Stale
          path={path}
          start={draft.start}
          onReload={() => void newDraft(path).then(edit.setDraft)}
          onKeep={() => edit.setDraft({ ...draft, began: declared(object) })}
        />
      )}
      {refused && refused.conflicts.length > 0 && <Conflicts conflicts={refused.conflicts} onForce={() => void edit.run(true, true)} />}
      {reviewed ? (
        <DiffView before={withoutBlock(reviewed.before, 'status')} after={withoutBlock(reviewed.yaml, 'status')} label="What would change" />
      ) : (
        <Editor
          text={draft.text}
          onText={(text) => edit.setDraft({ ...draft, text })}
          onReview={() => changed && void edit.run(true)}
          problems={refused?.problems ?? []}
          label="YAML"
          disabled={edit.busy}
        />
      )}
    </section>
  );
}

function EditBar({ edit, reviewed, onLeave }: { edit: Edit; reviewed: boolean; onLeave(): void }) {
  const { changed, busy } = edit;
  const [leaving, setLeaving] = useState(false);
  return (
    <div class="bar">
      <ModeSwitch mode={edit.mode} onMode={edit.setMode} />
      <span class="spacer" />
      {reviewed ? (
        <>
          <Button onClick={edit.back}>Back to the text</Button>
          <Button primary disabled={busy} onClick={() => void edit.run(false)}>
            Save
          </Button>
        </>
      ) : (
        <Button primary disabled={busy || !changed} title={changed ? undefined : 'Nothing was changed'} onClick={() => void edit.run(true)}>
          Review
        </Button>
      )}
      <Button onClick={() => (changed ? setLeaving(true) : onLeave())}>Cancel</Button>
      {leaving && (
        <Confirm title="Leave the editor?" action="Leave" danger onConfirm={onLeave} onClose={() => setLeaving(false)}>
          <p>What you changed is lost.</p>
        </Confirm>
      )}
    </div>
  );
}

/** useUnsaved has the browser ask before the page is left with changes. */
function useUnsaved(changed: boolean): void {
  useEffect(() => {
    if (!changed) return;
    const ask = (e: BeforeUnloadEvent) => e.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, [changed]);
}

function ModeSwitch({ mode, onMode }: { mode: Mode; onMode(mode: Mode): void }) {
  const option = (value: Mode, label: string, hint: string) => (
    <label class="check" title={hint}>
      <input type="radio" name="mode" checked={mode === value} onChange={() => onMode(value)} />
      {label}
    </label>
  );
  return (
    <fieldset class="modes">
      <legend class="visually-hidden">How it is saved</legend>
      {option('apply', 'Apply', 'Server-side apply: fields that you leave out stay')}
      {option('replace', 'Replace', 'Fields that you leave out go')}
      <span class="faint">{mode === 'apply' ? 'Fields that you leave out stay.' : 'Fields that you leave out go.'}</span>
    </fieldset>
  );
}

/** Stale says that somebody else changed the object since the editor was opened. */
function Stale({ path, start, onReload, onKeep }: { path: string; start: string; onReload(): void; onKeep(): void }) {
  const [now, setNow] = useState<string>();
  const show = () => void readYaml(path).then((yaml) => setNow(withoutBlock(yaml, 'status')));
  return (
    <div class="notice" role="alert">
      <p>The object was changed since you began to edit.</p>
      <div class="bar">
        <Button onClick={show}>Show what changed</Button>
        <Button onClick={onReload}>Begin again with the new text</Button>
        <Button onClick={onKeep} title="The review shows which changes of others that would take back">
          Keep my text
        </Button>
      </div>
      {now !== undefined && <DiffView before={withoutBlock(start, 'status')} after={now} label="What others changed" />}
    </div>
  );
}

/** Conflicts lists the fields that others own, by manager. */
function Conflicts({ conflicts, onForce }: { conflicts: Conflict[]; onForce(): void }) {
  const managers = [...new Set(conflicts.map((c) => c.manager))];
  return (
    <div class="notice" role="alert">
      <p>Other managers own fields that you change:</p>
      <dl class="conflicts">
        {managers.map((manager) => (
          <Fragment key={manager}>
            <dt>{manager}</dt>
            <dd>
              {conflicts
                .filter((c) => c.manager === manager)
                .map((c) => (
                  <div key={c.field}>
                    <code>{c.field}</code> {c.message}
                  </div>
                ))}
            </dd>
          </Fragment>
        ))}
      </dl>
      <Button onClick={onForce}>Take these fields over</Button>
    </div>
  );
}
