import { useMemo } from 'preact/hooks';
import { Chooser, type Choice } from './chooser';
import { currentScope, go, usePlace } from './router';
import { useKind } from './store';

/** NamespacePicker lets the user look at one namespace, or at all of them. */
export function NamespacePicker({ onClose }: { onClose: () => void }) {
  const place = usePlace();
  const { objects, denied } = useKind('Namespace');
  const choices = useMemo(() => {
    const names = [...objects.values()].map((o) => o.metadata.name).sort();
    const all: Choice = { id: '', title: 'All namespaces' };
    return [all, ...names.map((n): Choice => ({ id: n, title: n }))];
  }, [objects]);
  const choose = ({ id }: Choice) => {
    const namespace = id || undefined;
    onClose();
    if (place.view === 'object') go(place.resource ? { view: 'list', resource: place.resource, namespace } : { view: 'map', namespace });
    else go({ ...place, namespace });
  };
  return (
    <Chooser
      title="Namespace"
      placeholder={denied ? 'Type a namespace: you may not list them' : 'Type to find a namespace'}
      choices={choices}
      current={currentScope() ?? ''}
      other={denied ? (text) => ({ id: text, title: text }) : undefined}
      onChoose={choose}
      onClose={onClose}
    />
  );
}
