// One watch of the Kubernetes API as of https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists: it starts with
// the objects that are there, a bookmark ends those, and changes follow. After an end it begins anew and keeps the old state until
// the new one is complete.

import { type KubeObject, stream } from './api';

/** Paths says where to watch. Only those of kinds can be narrowed to a namespace. */
export interface Paths {
  path(): string;
  narrow?(): boolean;
  moved?(): boolean;
  widen?(): void;
}

interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: KubeObject;
}

const options = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
const initialEnd = 'k8s.io/initial-events-end';
const firstRetry = 1_000;
const maxRetry = 10_000;
const deniedRetry = 60_000;

export class Watch {
  private live = new Map<string, KubeObject>();
  private shown = { objects: new Map<string, KubeObject>(), ready: false, denied: false };
  private stale = false; // shown lacks changes of live
  private initial: Map<string, KubeObject> | undefined; // until it is complete
  private close: (() => void) | undefined;
  private timer = 0;
  private backoff = firstRetry;

  constructor(
    private paths: Paths,
    private onChange: () => void,
    private prepare: (o: KubeObject) => void = () => {},
  ) {}

  /** state is another object after every change, so that components can compare. */
  get state(): { objects: Map<string, KubeObject>; ready: boolean; denied: boolean } {
    if (this.stale) {
      this.stale = false;
      this.shown = { ...this.shown, objects: new Map(this.live) };
    }
    return this.shown;
  }

  start(): void {
    clearTimeout(this.timer);
    this.initial = new Map();
    const path = this.paths.path();
    this.close = stream(path + (path.includes('?') ? '&' : '?') + options, (lines) => this.receive(lines), (end) => this.ended(end.code));
  }

  stop(): void {
    clearTimeout(this.timer);
    this.close?.();
    this.close = undefined;
  }

  /** placeChanged begins anew where only one namespace may be watched and the user has chosen another one. */
  placeChanged(): void {
    if (!(this.shown.denied || this.paths.moved?.())) return;
    this.stop();
    this.paths.widen?.();
    this.reset(false, false);
    this.start();
  }

  private receive(lines: string[]): void {
    for (const line of lines) {
      const event = JSON.parse(line) as WatchEvent;
      if (event.type === 'ERROR') {
        this.close?.();
        this.ended(500);
        return;
      }
      this.apply(event);
    }
    if (this.stale) this.onChange();
  }

  private apply({ type, object }: WatchEvent): void {
    if (type === 'BOOKMARK') {
      if (this.initial && object.metadata.annotations?.[initialEnd] === 'true') {
        this.live = this.initial;
        this.shown = { objects: this.live, ready: true, denied: false };
        this.initial = undefined;
        this.backoff = firstRetry;
        this.stale = true;
      }
      return;
    }
    delete (object.metadata as { managedFields?: unknown }).managedFields;
    this.prepare(object);
    const target = this.initial ?? this.live;
    if (type === 'DELETED') target.delete(object.metadata.uid);
    else target.set(object.metadata.uid, object);
    if (!this.initial) this.stale = true;
  }

  private ended(code: number): void {
    this.close = undefined;
    this.initial = undefined;
    if (code === 403 || code === 404) {
      if (code === 403 && this.paths.narrow?.()) return this.start();
      this.reset(code === 404, code === 403);
      this.timer = window.setTimeout(() => {
        this.paths.widen?.();
        this.start();
      }, deniedRetry);
      return;
    }
    this.timer = window.setTimeout(() => this.start(), this.backoff);
    this.backoff = Math.min(this.backoff * 2, maxRetry);
  }

  private reset(ready: boolean, denied: boolean): void {
    this.live = new Map();
    this.shown = { objects: this.live, ready, denied };
    this.stale = false;
    this.onChange();
  }
}
