import { FitAddon } from '@xterm/addon-fit';
import { type ITheme, Terminal } from '@xterm/xterm';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { KubeObject } from '../api';
import { containersOf } from './containers';
import { Exec } from './exec';
import { allowSpanStyles, withNonce } from './nonce';
import { podsOf, type Related } from './related';

/** TerminalView is a shell in a container of an object's pods. */
export function TerminalView({ object, related }: { object: KubeObject; related: Related }) {
  const pods = useMemo(() => podsOf(object, related).filter((p) => containersOf(p).some((c) => c.running)), [object, related]);
  const [pod, setPod] = useState('');
  const [container, setContainer] = useState('');
  const [at, setAt] = useState<{ pod: string; container: string }>();
  const wanted = at?.pod ?? pod;
  const chosen = wanted ? pods.find((p) => p.metadata.name === wanted) : pods[0];
  const containers = chosen ? containersOf(chosen).filter((c) => c.running) : [];
  const inside = containers.find((c) => c.name === container) ?? containers.find((c) => c.name === defaultContainer(chosen)) ?? containers[0];

  // A terminal that is open stays in its pod, also when that ends or others come.
  useEffect(() => {
    if (!at && chosen && inside) setAt({ pod: chosen.metadata.name, container: inside.name });
  }, [at, chosen, inside]);

  const choose = (nextPod: string, nextContainer: string) => {
    setPod(nextPod);
    setContainer(nextContainer);
    setAt(undefined);
  };
  if (!at) {
    return <p class="faint">{related.ready ? 'No container runs. The terminal opens as soon as one does.' : 'Looking for pods'}</p>;
  }
  return (
    <section class="terminal" aria-label="Terminal">
      <div class="terminal-bar">
        <Choice label="Pod" value={at.pod} options={pods.map((p) => p.metadata.name)} onChange={(name) => choose(name, '')} />
        <Choice label="Container" value={at.container} options={containers.map((c) => c.name)} onChange={(name) => choose(at.pod, name)} />
      </div>
      <Shell
        key={`${at.pod}/${at.container}`}
        namespace={object.kind === 'Node' ? '' : (object.metadata.namespace ?? '')}
        pod={at.pod}
        container={at.container}
      />
    </section>
  );
}

function defaultContainer(pod: KubeObject | undefined): string | undefined {
  return pod?.metadata.annotations?.['kubectl.kubernetes.io/default-container'] ?? pod?.spec?.containers?.[0]?.name;
}

function Choice({ label, value, options, onChange }: { label: string; value: string; options: string[]; onChange(value: string): void }) {
  const all = options.includes(value) ? options : [value, ...options];
  return (
    <label>
      {label}{' '}
      <select value={value} onChange={(e) => onChange(e.currentTarget.value)}>
        {all.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Shell is one run of a shell; "Start again" makes another. */
function Shell(place: { namespace: string; pod: string; container: string }) {
  const box = useRef<HTMLDivElement>(null);
  const [run, setRun] = useState(1);
  const [state, setState] = useState<{ text: string; ended: boolean }>({ text: 'Connecting', ended: false });

  useEffect(() => {
    const el = box.current!;
    setState({ text: 'Connecting', ended: false });
    return openTerminal(el, place, setState);
  }, [run]);

  return (
    <>
      <div class="terminal-box" ref={box} />
      <div class="terminal-state" role="status">
        <span>{state.text}</span>
        {state.ended && (
          <button type="button" onClick={() => setRun(run + 1)}>
            Start again
          </button>
        )}
      </div>
    </>
  );
}

/** openTerminal connects a terminal in an element to a shell, and returns what ends both. */
function openTerminal(
  el: HTMLElement,
  place: { namespace: string; pod: string; container: string },
  report: (state: { text: string; ended: boolean }) => void,
): () => void {
  allowSpanStyles();
  const terminal = new Terminal({
    cursorBlink: true,
    fontFamily: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
    fontSize: 13,
    screenReaderMode: true,
    scrollback: 5000,
    theme: themeOf(el),
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  withNonce(() => terminal.open(el));
  fit.fit();

  const exec = new Exec(place, {
    onOpen() {
      exec.resize(terminal.cols, terminal.rows);
      report({ text: `Connected to ${place.pod}, container ${place.container}`, ended: false });
      terminal.focus();
    },
    onOutput: (bytes) => terminal.write(bytes),
    onEnd(message) {
      terminal.options.disableStdin = true;
      terminal.options.cursorBlink = false;
      report({ text: message, ended: true });
    },
  });
  terminal.onData((text) => exec.write(text));
  terminal.onResize(({ cols, rows }) => exec.resize(cols, rows));

  const sized = new ResizeObserver(() => fit.fit());
  sized.observe(el);
  const themed = watchTheme(() => (terminal.options.theme = themeOf(el)));
  return () => {
    sized.disconnect();
    themed();
    exec.close();
    terminal.dispose();
  };
}

/** watchTheme calls back when the page turns dark or light. */
function watchTheme(changed: () => void): () => void {
  const query = window.matchMedia('(prefers-color-scheme: dark)');
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributes: true });
  query.addEventListener('change', changed);
  return () => {
    observer.disconnect();
    query.removeEventListener('change', changed);
  };
}

/** The variables of object.css that a terminal's colours are taken from, in the order of ITheme's names. */
const names = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'] as const;

function themeOf(el: HTMLElement): ITheme {
  const probe = el.appendChild(document.createElement('span'));
  const variable = (name: string) => {
    probe.style.color = `var(${name})`; // computed, since the variable itself has a colour for light and one for dark
    return getComputedStyle(probe).color;
  };
  const theme: Record<string, string> = {
    background: variable('--term-bg'),
    foreground: variable('--term-fg'),
    cursor: variable('--term-fg'),
    cursorAccent: variable('--term-bg'),
    selectionBackground: variable('--term-selection'),
  };
  names.forEach((name, i) => {
    theme[name] = variable(`--ansi-${i}`);
    theme['bright' + name[0]!.toUpperCase() + name.slice(1)] = variable(`--ansi-${i + 8}`);
  });
  probe.remove();
  return theme;
}
