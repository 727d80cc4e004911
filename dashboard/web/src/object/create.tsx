import { useState } from 'preact/hooks';
import { go } from '../router';
import { isServed, nameOf, resources } from '../resources';
import { useKind } from '../store';
import { Button, Dialog, notify } from '../ui';
import { Editor } from './editor';
import { type Outcome, writeYaml } from './objects';
import { templates } from './templates';
import { withoutBlock } from './yaml';
import { YamlText } from './yamltext';

/** NewObject is the dialog that makes an object of YAML. namespace is the one that the page shows. */
export function NewObject({ namespace, onClose }: { namespace?: string; onClose(): void }) {
  const [text, setText] = useState(templates[0]!.text);
  const [target, setTarget] = useState(namespace ?? 'default');
  const [outcome, setOutcome] = useState<Outcome>();
  const [busy, setBusy] = useState(false);
  const reviewed = outcome?.ok ? outcome : undefined;

  const run = async (dryRun: boolean) => {
    setBusy(true);
    const result = await writeYaml({ yaml: text, mode: 'create', dryRun, force: false, namespace: target });
    setBusy(false);
    setOutcome(result);
    if (!result.ok || dryRun) return;
    notify('The object was created');
    onClose();
    goTo(result.path);
  };
  const change = (next: string) => {
    setText(next);
    setOutcome(undefined);
  };

  return (
    <Dialog title="New object" onClose={onClose} class="wide">
      <div class="bar">
        <Templates onChange={change} />
        <Namespaces value={target} onChange={setTarget} />
      </div>
      {reviewed ? (
        <>
          <p class="faint">The server would make this object of it:</p>
          <YamlText text={withoutBlock(reviewed.yaml, 'status')} label="What would be created" />
        </>
      ) : (
        <Editor
          text={text}
          onText={change}
          onReview={() => void run(true)}
          problems={outcome && !outcome.ok ? outcome.problems : []}
          label="YAML of the new object"
          disabled={busy}
        />
      )}
      <div class="dialog-buttons">
        {reviewed ? <Button onClick={() => setOutcome(undefined)}>Back to the text</Button> : <Button onClick={onClose}>Cancel</Button>}
        {!reviewed && (
          <Button disabled={busy} onClick={() => void run(true)}>
            Review
          </Button>
        )}
        <Button primary disabled={busy} onClick={() => void run(false)}>
          Create
        </Button>
      </div>
    </Dialog>
  );
}

function Templates({ onChange }: { onChange(text: string): void }) {
  return (
    <label>
      Begin with{' '}
      <select onChange={(e) => onChange(templates[Number(e.currentTarget.value)]!.text)}>
        {templates.map((t, i) => (
          <option key={t.kind} value={i}>
            {t.kind}
          </option>
        ))}
      </select>
    </label>
  );
}

function Namespaces({ value, onChange }: { value: string; onChange(value: string): void }) {
  const { objects } = useKind('Namespace');
  const names = [...objects.values()].map((o) => o.metadata.name).sort();
  if (!names.includes(value)) names.unshift(value);
  return (
    <label>
      In namespace{' '}
      <select value={value} onChange={(e) => onChange(e.currentTarget.value)} title="For objects that name none">
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** goTo shows the object of a path such as /apis/apps/v1/namespaces/x/deployments/web. */
function goTo(path: string): void {
  const found = /^\/(?:api|apis\/([^/]+))\/[^/]+(?:\/namespaces\/([^/]+))?\/([^/]+)\/([^/]+)$/.exec(path);
  if (!found) return;
  const [, group = '', namespace, plural, name] = found;
  const resource = resources.find((r) => r.plural === plural && r.group === group);
  if (resource && isServed(resource.kind)) go({ view: 'object', resource: nameOf(resource), namespace, name });
}
