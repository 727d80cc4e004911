// Many streaming answers over one WebSocket. The connection exists while somebody follows something and the page was visible within
// the last minute; streams that are opened while it rests wait until the page is visible again.

import { useEffect, useState } from 'preact/hooks';
import { currentToken, own } from './api';

interface End {
  code: number;
  message: string;
}

interface Stream {
  path: string;
  onLines: (lines: string[]) => void;
  onEnd: (end: End) => void;
}

const protocol = 'kube-lite.dashboard.v1';
/** A page that has been hidden for so long, in milliseconds, lets the daemon rest. */
const hiddenLimit = 60_000;
const maxBackoff = 10_000;
/** The connection outlives its last stream by so many milliseconds: the next view opens streams at once. */
const lingering = 5_000;

const streams = new Map<number, Stream>();
let nextId = 1;
let connection: WebSocket | undefined;
let backoff = 500;
let retry = 0;
let resting = false;
let lost = false;
const watchers = new Set<(lost: boolean) => void>();

/** socket opens a WebSocket of the page's server, with the session's token. */
export function socket(path: string, protocols: string[]): WebSocket {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(`${scheme}//${location.host}${path}`, [...protocols, 'bearer.' + currentToken()]);
}

/** stream follows the answer to a GET, line by line. It returns what closes it; onEnd is not called after that. */
export function stream(path: string, onLines: (lines: string[]) => void, onEnd: (end: End) => void): () => void {
  const id = nextId++;
  streams.set(id, { path, onLines, onEnd });
  if (connection?.readyState === WebSocket.OPEN) tell({ id, path });
  else connect();
  return () => {
    if (!streams.delete(id)) return;
    if (connection?.readyState === WebSocket.OPEN) tell({ id, close: true });
    if (!streams.size) setTimeout(disconnectIfIdle, lingering);
  };
}

/** useConnection tells whether the daemon has gone away while it is needed. */
export function useConnection(): boolean {
  const [isLost, setLost] = useState(lost);
  useEffect(() => {
    watchers.add(setLost);
    return () => void watchers.delete(setLost);
  }, []);
  return isLost;
}

function setLost(value: boolean): void {
  if (lost === value) return;
  lost = value;
  for (const w of watchers) w(value);
}

function tell(message: unknown): void {
  connection?.send(JSON.stringify(message));
}

function connect(): void {
  if (connection || resting || retry || !currentToken()) return;
  const ws = socket('/streams', [protocol]);
  connection = ws;
  ws.onopen = () => {
    backoff = 500;
    setLost(false);
    for (const [id, s] of streams) tell({ id, path: s.path });
  };
  ws.onmessage = (e: MessageEvent<string>) => receive(JSON.parse(e.data));
  ws.onclose = () => {
    if (connection === ws) closed();
  };
}

function receive(message: { id: number; lines?: string[]; end?: End }): void {
  const s = streams.get(message.id);
  if (!s) return;
  if (message.lines) s.onLines(message.lines);
  if (message.end) {
    streams.delete(message.id);
    s.onEnd(message.end);
  }
}

function closed(): void {
  connection = undefined;
  setLost(true);
  endAll('the connection was lost');
  retryLater();
}

function retryLater(): void {
  retry = window.setTimeout(() => void reconnect(), backoff);
  backoff = Math.min(backoff * 2, maxBackoff);
}

/** reconnect asks for the session first: a WebSocket cannot tell that it is over. */
async function reconnect(): Promise<void> {
  if (resting) {
    retry = 0;
    return;
  }
  try {
    await own('GET', '/session');
  } catch {
    if (currentToken()) retryLater();
    return;
  }
  retry = 0;
  if (streams.size) connect();
  else setLost(false);
}

function endAll(message: string): void {
  const ended = [...streams.values()];
  streams.clear();
  for (const s of ended) s.onEnd({ code: 0, message });
}

function disconnectIfIdle(): void {
  if (!streams.size) disconnect();
}

function disconnect(): void {
  const ws = connection;
  connection = undefined;
  ws?.close();
}

function rest(): void {
  resting = true;
  disconnect();
  endAll('the page was hidden');
}

let hidden = 0;
document.addEventListener('visibilitychange', () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = window.setTimeout(rest, hiddenLimit);
  else if (resting) {
    resting = false;
    if (streams.size) connect();
  }
});
