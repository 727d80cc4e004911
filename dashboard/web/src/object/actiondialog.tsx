import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { Dialog, notify } from '../ui';

interface Props {
  title: string;
  /** submit is what the button says: a verb. */
  submit: string;
  danger?: boolean;
  disabled?: boolean;
  done: string; // what is said afterwards
  run(): Promise<unknown>;
  onClose(): void;
  children: ComponentChildren;
}

/** ActionDialog asks, makes a change and closes; what the API says against it stays in the dialog. */
export function ActionDialog({ title, submit, danger, disabled, done, run, onClose, children }: Props) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const start = async () => {
    setBusy(true);
    setError('');
    try {
      await run();
      notify(done);
      onClose();
    } catch (err) {
      setError((err as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        class="action"
        onSubmit={(e) => {
          e.preventDefault();
          if (!busy && !disabled) void start();
        }}
      >
        {children}
        {error && (
          <p class="error" role="alert">
            {error}
          </p>
        )}
        <div class="dialog-buttons">
          <button type="button" onClick={onClose} autofocus={danger}>
            Cancel
          </button>
          <button type="submit" class={danger ? 'danger' : 'primary'} disabled={busy || disabled} autofocus={!danger}>
            {submit}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
