import { useEffect, useState } from 'preact/hooks';
import type { KubeObject } from '../api';
import { Button, notify } from '../ui';
import type { Access } from './access';
import { CopyButton } from './copy';
import { readYaml } from './objects';
import { withoutBlock } from './yaml';
import { draftOf, newDraft, YamlEdit } from './yamledit';
import { YamlText } from './yamltext';

/** YamlView shows an object as YAML, and lets it be edited. */
export function YamlView({ object, path, editable }: { object: KubeObject; path: string; editable: Access }) {
  const { text, error, reload } = useYaml(object, path);
  const [status, setStatus] = useState(false);
  const [draft, setDraft] = useState(() => draftOf(path));
  if (draft) {
    const done = () => {
      setDraft(undefined);
      reload();
    };
    return <YamlEdit object={object} path={path} draft={draft} onDone={done} />;
  }
  if (error && text === undefined) {
    return (
      <p class="error" role="alert">
        {error}
      </p>
    );
  }
  if (text === undefined) return <p class="faint">Loading</p>;
  const withoutStatus = withoutBlock(text, 'status');
  const shown = status ? text : withoutStatus;
  return (
    <section class="yaml" aria-label="YAML">
      <div class="bar">
        <Button
          disabled={!editable.allowed}
          title={editable.allowed ? undefined : editable.reason}
          onClick={() => void newDraft(path).then(setDraft, (err: Error) => notify(err.message, 'error'))}
        >
          Edit
        </Button>
        <CopyButton text={shown} label="Copy the YAML" />
        {withoutStatus !== text && (
          <label class="check">
            <input type="checkbox" checked={status} onChange={(e) => setStatus(e.currentTarget.checked)} />
            Show status
          </label>
        )}
      </div>
      <YamlText text={shown} label={`${object.kind} ${object.metadata.name} as YAML`} />
    </section>
  );
}

/** useYaml reads the YAML again when the object changes. */
function useYaml(object: KubeObject, path: string) {
  const [text, setText] = useState<string>();
  const [error, setError] = useState('');
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let current = true;
    readYaml(path).then(
      (yaml) => {
        if (!current) return;
        setText(yaml);
        setError('');
      },
      (err: Error) => current && setError(err.message),
    );
    return () => {
      current = false;
    };
  }, [path, object.metadata.resourceVersion, turn]);
  return { text, error, reload: () => setTurn((n) => n + 1) };
}
