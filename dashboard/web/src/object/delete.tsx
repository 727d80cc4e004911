import { useEffect, useState } from 'preact/hooks';
import { ActionDialog } from './actiondialog';
import type { DialogProps } from './actions';
import { consequences, namespaceContents, remove } from './changes';
import { descendants } from './related';

/** Kinds with which so much goes that their name has to be typed. */
const typed = ['Namespace', 'PersistentVolumeClaim', 'PersistentVolume', 'CustomResourceDefinition'];

/** DeleteDialog names what goes with an object, and deletes it. */
export function DeleteDialog({ object, path, related, onClose }: DialogProps) {
  const { name, uid } = object.metadata;
  const [contents, setContents] = useState<string[]>([]);
  const [typedName, setTypedName] = useState('');
  const [atOnce, setAtOnce] = useState(false);
  useEffect(() => {
    if (object.kind === 'Namespace') void namespaceContents(name).then(setContents);
  }, []);
  const lines = object.kind === 'Namespace' ? contents : consequences(object, descendants(object, related), related);
  const mustType = typed.includes(object.kind);
  return (
    <ActionDialog
      title={`Delete ${object.kind} ${name}`}
      submit="Delete"
      danger
      disabled={mustType && typedName !== name}
      done={`${object.kind} ${name} is being deleted`}
      run={() => remove(path, { atOnce, uid })}
      onClose={onClose}
    >
      <p>{object.kind === 'CustomResourceDefinition' ? 'All objects of this kind go with it. This cannot be undone.' : 'This cannot be undone.'}</p>
      {lines.length > 0 && (
        <>
          <p>
            {['ConfigMap', 'Secret', 'ServiceAccount', 'PersistentVolumeClaim', 'Node'].includes(object.kind)
              ? 'What depends on it:'
              : 'What goes with it:'}
          </p>
          <ul class="plain">
            {lines.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </>
      )}
      {object.kind === 'Pod' && (
        <label class="check">
          <input type="checkbox" checked={atOnce} onChange={(e) => setAtOnce(e.currentTarget.checked)} />
          At once, without its grace period
        </label>
      )}
      {mustType && (
        <label class="field">
          Type {name} to confirm
          <input type="text" autofocus autocomplete="off" spellcheck={false} value={typedName} onInput={(e) => setTypedName(e.currentTarget.value)} />
        </label>
      )}
    </ActionDialog>
  );
}
