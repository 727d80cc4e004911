import { useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import type { KubeObject } from '../api';
import { LogBuffer, type Line, countBefore, maxLines, pausedLines, searchOf } from './logbuffer';
import { LogLines } from './loglines';
import { LogTail, maxSources } from './logtail';
import { LogToolbar, type Settings, defaultSettings } from './logtoolbar';
import { clock, type Display } from './logrow';
import { podsOf, type Related } from './related';
import { Palette, sourcesOf } from './sources';

/** LogView shows the logs of all pods of an object, merged, as they arrive. */
export function LogView({ object, related }: { object: KubeObject; related: Related }) {
  const pods = useMemo(() => podsOf(object, related), [object, related]);
  const palette = useMemo(() => new Palette(), []);
  const sources = useMemo(() => sourcesOf(pods, palette), [pods]);
  const [settings, setSettings] = useState<Settings>(defaultSettings);
  const followed = sources.length > maxSources && settings.pod ? sources.filter((s) => s.pod === settings.pod) : sources;
  const log = useLog(followed, pods, related.ready, settings);
  const { display, problem, position, target, step, find } = useSearch(log, settings, sources.length > 1);

  return (
    <section class="logs" aria-label="Logs">
      <LogToolbar
        settings={settings}
        onSettings={setSettings}
        sources={sources}
        problem={problem}
        found={log.buffer.found.length}
        position={position}
        onFind={find}
        follow={log.follow}
        onFollow={log.setFollow}
        onDownload={() => download(object, log.buffer.shown, sources.length > 1)}
      />
      <LogNotes log={log} pods={pods.length} sources={sources.length} ready={related.ready} previous={settings.previous} />
      <div class="log-frame">
        <LogLines
          lines={log.buffer.shown}
          version={log.version}
          gone={log.gone}
          display={display}
          nameWidth={Math.min(32, Math.max(4, ...sources.map((s) => s.label.length)))}
          follow={log.follow}
          onFollow={log.setFollow}
          target={target}
          targetStep={step}
        />
        {!log.follow && (
          <button type="button" class="log-more" onClick={() => log.setFollow(true)}>
            {log.unseen ? `${log.unseen.toLocaleString('en')} new line${log.unseen > 1 ? 's' : ''}` : 'Go to the end'}
          </button>
        )}
      </div>
    </section>
  );
}

/** useSearch has the buffer look for what was typed, and says where the search is. */
function useSearch(log: Log, settings: Settings, names: boolean) {
  const { buffer } = log;
  const { search: typed, regex, matchCase, only, levels, pod, container, wrap, time } = settings;
  const found = useMemo(() => searchOf(typed, regex, matchCase), [typed, regex, matchCase]);
  const search = found instanceof RegExp ? found : undefined;
  const [at, setAt] = useState<{ line: Line | undefined; step: number }>({ line: undefined, step: 0 });
  useMemo(() => buffer.setQuery({ search, only, levels, pod, container }), [search, only, levels, pod, container]);
  const display = useMemo<Display>(() => ({ wrap, time, name: names, search }), [wrap, time, names, search]);
  const find = (direction: 1 | -1) => {
    const line = nextFound(buffer, at.line, direction);
    if (!line) return;
    log.setFollow(false);
    setAt({ line, step: at.step + 1 });
  };
  const position = positionOf(buffer.found, at.line);
  return { display, problem: typeof found === 'string' ? found : '', position, target: position ? at.line : undefined, step: at.step, find };
}

/** nextFound is the match after or before the one that the search is at; at first the last one. */
function nextFound(buffer: LogBuffer, at: Line | undefined, direction: 1 | -1): Line | undefined {
  const { found } = buffer;
  if (!found.length) return undefined;
  const position = positionOf(found, at);
  if (!position) return found[found.length - 1];
  return found[(position - 1 + direction + found.length) % found.length];
}

/** positionOf is the place of a line among those that were found, from 1; 0: it is not there. */
function positionOf(found: Line[], line: Line | undefined): number {
  if (!line) return 0;
  const index = countBefore(found, line.seq);
  return found[index] === line ? index + 1 : 0;
}

interface Log {
  buffer: LogBuffer;
  version: number;
  gone: number;
  follow: boolean;
  unseen: number; // lines that arrived since somebody scrolled up
  errors: string[];
  setFollow(follow: boolean): void;
}

/** useLog reads the logs of the sources while the view is shown. */
function useLog(sources: ReturnType<typeof sourcesOf>, pods: KubeObject[], ready: boolean, settings: Settings): Log {
  const buffer = useMemo(() => new LogBuffer(), []);
  const [version, refresh] = useReducer((n: number, _: void) => n + 1, 0);
  const [follow, setFollowing] = useState(true);
  const [errors, setErrors] = useState<string[]>([]);
  const counts = useRef({ gone: 0, unseen: 0, follow: true });
  const tail = useRef<LogTail>();

  useEffect(() => {
    buffer.clear();
    counts.current = { gone: 0, unseen: 0, follow: true };
    setFollowing(true);
    setErrors([]);
    refresh();
    const current = new LogTail(buffer, {
      previous: settings.previous,
      onLines(lines) {
        const { added, gone } = buffer.append(lines, counts.current.follow ? maxLines : pausedLines);
        counts.current.gone += gone;
        if (!counts.current.follow) counts.current.unseen += added;
        refresh();
      },
      onError: (source, message) => setErrors((before) => addError(before, `${source.pod}, container ${source.container}: ${message}`)),
    });
    tail.current = current;
    return () => current.close();
  }, [settings.previous]);

  useEffect(() => {
    if (ready) tail.current?.update(sources, new Map(pods.map((p) => [p.metadata.uid, p])));
  }, [sources, pods, ready, settings.previous]);

  const setFollow = (on: boolean) => {
    counts.current.follow = on;
    if (on) counts.current.unseen = 0;
    setFollowing(on);
  };
  return { buffer, version, follow, errors, gone: counts.current.gone, unseen: counts.current.unseen, setFollow };
}

const maxErrors = 5;

function addError(before: string[], message: string): string[] {
  return before.includes(message) ? before : [...before, message].slice(-maxErrors);
}

/** LogNotes says why there is nothing to see, or not all. */
function LogNotes({ log, pods, sources, ready, previous }: { log: Log; pods: number; sources: number; ready: boolean; previous: boolean }) {
  const notes: string[] = [...log.errors];
  if (ready && !pods) notes.push('There are no pods. Their logs appear here as soon as there are.');
  if (sources > maxSources) notes.push(`Only the first ${maxSources} of ${sources} containers are followed. Choose a pod to see another one.`);
  if (log.buffer.dropped)
    notes.push(
      `Only the last ${log.buffer.lines.length.toLocaleString('en')} lines are kept; ${log.buffer.dropped.toLocaleString('en')} older ones were let go.`,
    );
  if (previous && pods && !log.buffer.lines.length) notes.push('No container has a previous run, or its log is gone.');
  if (!notes.length) return null;
  return (
    <ul class="log-notes" aria-live="polite">
      {notes.map((note) => (
        <li key={note}>{note}</li>
      ))}
    </ul>
  );
}

/** download saves the lines as a text file. */
function download(object: KubeObject, lines: Line[], names: boolean): void {
  const text = lines
    .map((l) => (l.note ? `--- ${l.text}` : `${l.time}${names ? ` ${l.source.pod}/${l.source.container}` : ''} ${l.text}`))
    .join('\n');
  const url = URL.createObjectURL(new Blob([text + '\n'], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `${object.metadata.name}-${clock(new Date().toISOString()).slice(0, 8).replaceAll(':', '')}.log`;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(url), 1000);
}
