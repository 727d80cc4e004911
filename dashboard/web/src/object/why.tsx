import { useEffect, useRef, useState } from 'preact/hooks';
import { type KubeObject, own } from '../api';
import type { Health } from '../health';
import { resources, nameOf } from '../resources';
import { hrefOf } from '../router';
import { Command, Mark } from '../ui';

type State = 'ok' | 'broken' | 'waiting' | 'unknown';

/** Link is one object on the way, and what was found there; as of why/chain.go. */
interface Link {
  object: { kind: string; namespace?: string; name: string };
  state: State;
  sentence: string;
  evidence?: string[];
  mend?: string;
}

interface Chain {
  state: State;
  links: Link[];
  unread?: string[];
}

/** The answer may be expensive: it is asked for again at most so often, and only while the page is visible. */
const interval = 2000; // ms
/** Things such as an unreachable address change without an object that changes. */
const recheck = 15_000;

/** useWhy asks why an object is as it is, again when something of it has changed. */
function useWhy(path: string, changes: string): { chain?: Chain; error: string } {
  const [answer, setAnswer] = useState<{ chain?: Chain; error: string }>({ error: '' });
  const last = useRef({ at: 0, busy: false, due: false });
  const [turn, setTurn] = useState(0);

  useEffect(() => {
    last.current = { at: 0, busy: false, due: false };
    setAnswer({ error: '' });
  }, [path]);

  useEffect(() => {
    let stopped = false;
    const state = last.current;
    const ask = async () => {
      if (state.busy || document.hidden) {
        state.due = true;
        return;
      }
      state.busy = true;
      state.at = Date.now();
      const found = await own<Chain>('GET', `/why?path=${encodeURIComponent(path)}`).then(
        (chain) => ({ chain, error: '' }),
        (err: Error) => ({ error: err.message }),
      );
      state.busy = false;
      if (state !== last.current) return; // another object by now
      setAnswer(found);
      if (state.due) {
        state.due = false;
        setTurn((n) => n + 1);
      }
    };
    const timer = window.setTimeout(() => !stopped && void ask(), Math.max(0, state.at + interval - Date.now()));
    const again = window.setInterval(() => void ask(), recheck);
    const visible = () => !document.hidden && state.due && void ask();
    document.addEventListener('visibilitychange', visible);
    return () => {
      stopped = true;
      window.clearTimeout(timer);
      window.clearInterval(again);
      document.removeEventListener('visibilitychange', visible);
    };
  }, [path, changes, turn]);
  return answer;
}

/** Why shows the chain from an object to the first link that is not well. changes is another text when to ask again. */
export function Why({ object, path, changes }: { object: KubeObject; path: string; changes: string }) {
  const { chain, error } = useWhy(path, changes);
  if (error)
    return (
      <section class="why" aria-label="Why">
        <p class="faint">Why it is so is not known: {error}</p>
      </section>
    );
  if (!chain)
    return (
      <section class="why" aria-label="Why">
        <p class="faint">Looking</p>
      </section>
    );
  const links = chain.links;
  const last = links[links.length - 1];
  if (chain.state === 'ok' && last) {
    return (
      <section class="why" aria-label="Why">
        <p class="why-well">
          <StateMark state="ok" />
          {sentenceOf(links[0]!, object)}
        </p>
      </section>
    );
  }
  return (
    <section class={`why why-${chain.state}`} aria-label="Why" aria-live="polite">
      <ol class="why-chain">
        {links.map((link, i) => (
          <LinkRow key={i} link={link} last={i === links.length - 1} object={object} />
        ))}
      </ol>
      {chain.unread?.map((line) => (
        <p key={line} class="faint">
          <StateMark state="unknown" /> Not read: {line}
        </p>
      ))}
    </section>
  );
}

function LinkRow({ link, last, object }: { link: Link; last: boolean; object: KubeObject }) {
  return (
    <li class={`why-link${last ? ' why-last' : ''}`}>
      <StateMark state={link.state} />
      <div>
        <p class="why-sentence">
          <ObjectName link={link} here={object} />: {link.sentence}
        </p>
        {link.mend && <Mend text={link.mend} />}
        {link.evidence && link.evidence.length > 0 && (
          <details open={false}>
            <summary>What was looked at</summary>
            <ul class="evidence">
              {link.evidence.map((line, i) => (
                <li key={i}>{line}</li>
              ))}
            </ul>
          </details>
        )}
      </div>
    </li>
  );
}

/** Mend is the command that mends it; a note may follow, as in a shell. */
function Mend({ text }: { text: string }) {
  const at = text.indexOf(noteMark);
  return (
    <p class="mend">
      <Command text={at < 0 ? text : text.slice(0, at)} />
      {at >= 0 && <span class="faint">{text.slice(at + noteMark.length)}</span>}
    </p>
  );
}

const noteMark = '  # ';

function ObjectName({ link, here }: { link: Link; here: KubeObject }) {
  const { kind, namespace, name } = link.object;
  const text = `${kind} ${name}`;
  const resource = resources.find((r) => r.kind === kind);
  const self = kind === here.kind && name === here.metadata.name;
  if (!resource || self) return <strong>{text}</strong>;
  return <a href={hrefOf({ view: 'object', resource: nameOf(resource), namespace: resource.namespaced ? namespace : undefined, name })}>{text}</a>;
}

/** sentenceOf makes a sentence of what is said of a link: it begins with the object only where that is another one. */
function sentenceOf(link: Link, here: KubeObject): string {
  const self = link.object.kind === here.kind && link.object.name === here.metadata.name;
  const said = self ? link.sentence : `${link.object.kind} ${link.object.name}: ${link.sentence}`;
  return said[0]!.toUpperCase() + said.slice(1);
}

const healths: Record<State, Health> = { ok: 'ok', broken: 'failed', waiting: 'progressing', unknown: 'idle' };
const words: Record<State, string> = { ok: 'Well', broken: 'Broken', waiting: 'Waiting', unknown: 'Unknown' };

function StateMark({ state }: { state: State }) {
  return (
    <span class="why-mark" title={words[state]}>
      <Mark health={healths[state]} />
      <span class="visually-hidden">{words[state]}:</span>
    </span>
  );
}
