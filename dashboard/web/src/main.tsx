// The page's beginning: who the user is, what the cluster serves, then the views.

import { render } from 'preact';
import { ApiError, lastProgram, loadSession, login, session, whenSessionEnds } from './api';
import { discover } from './resources';
import { Shell } from './shell';
import { applyTheme } from './theme';
import { Command } from './ui';
import './style.css';

const root = document.getElementById('app')!;
const loginPrefix = '#login=';
const ended = 'This session has ended.';

async function start(): Promise<void> {
  applyTheme();
  const refused = (await exchangeCode()) === false; // an older session may still be good
  try {
    await loadSession();
  } catch (e) {
    if (e instanceof ApiError && e.code === 401) return gate(refused ? 'This login link was used, or is older than a minute.' : ended);
    return unreachable((e as Error).message);
  }
  await discover().catch(() => {}); // those who may not discover see the kinds that every cluster has
  whenSessionEnds(() => gate(ended));
  document.title = session.instance === 'default' ? 'kube-lite' : `kube-lite ${session.instance}`;
  render(<Shell />, root);
}

/** exchangeCode takes the code out of the address, and returns whether it was good, and undefined if there is none. */
async function exchangeCode(): Promise<boolean | undefined> {
  if (!location.hash.startsWith(loginPrefix)) return undefined;
  const code = location.hash.slice(loginPrefix.length);
  history.replaceState(null, '', location.pathname);
  return login(code).catch(() => false);
}

/** gate is what those see who are not logged in. */
function gate(text: string): void {
  render(
    <main class="gate">
      <h1>kube-lite</h1>
      <p>{text} For a new one, run</p>
      <Command text={`${lastProgram()} dashboard`} />
    </main>,
    root,
  );
}

function unreachable(message: string): void {
  render(
    <main class="gate">
      <h1>kube-lite</h1>
      <p>{message}. The page tries again every few seconds; the daemon starts with</p>
      <Command text={`${lastProgram()} start`} />
    </main>,
    root,
  );
  setTimeout(() => void start(), 3000);
}

void start();
