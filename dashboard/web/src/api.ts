// The page's requests: the Kubernetes API with the user's rights, and the endpoints of the page's own server. All of them carry the
// session's token; an answer of 401 to any of them ends the session.

export { socket, stream, useConnection } from './streams';

/** Meta is an object's metadata, without managedFields where it comes from a watch. */
export interface Meta {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
}

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: Meta;
  spec?: any;
  status?: any;
  [field: string]: any;
}

/** Session says who the user is and what the page talks to. A port of 0 means that there is no router for it. */
export interface Session {
  user: string;
  groups: string[];
  instance: string;
  program: string;
  version: string;
  nodes: string[];
  httpPort: number;
  httpsPort: number;
}

/** ApiError is an answer that is no success. Its message is that of the metav1.Status, code 0 means that there was no answer. */
export class ApiError extends Error {
  constructor(
    public code: number,
    message: string,
    public body?: any,
  ) {
    super(message);
  }
}

/** Set before the page is mounted. */
export let session: Session;

const tokenKey = 'kube-lite.token';
const programKey = 'kube-lite.program';

let token = localStorage.getItem(tokenKey) ?? '';
let onSessionEnd = () => {};

export function currentToken(): string {
  return token;
}

/** lastProgram is how the user calls the command, as far as the page has ever heard. */
export function lastProgram(): string {
  return localStorage.getItem(programKey) ?? 'kube-lite';
}

/** whenSessionEnds sets what happens when the server no longer knows the token. */
export function whenSessionEnds(handler: () => void): void {
  onSessionEnd = handler;
}

export function endSession(): void {
  token = '';
  localStorage.removeItem(tokenKey);
  onSessionEnd();
}

/** login exchanges the code of a link for a token. It returns false for a code that was used or is too old. */
export async function login(code: string): Promise<boolean> {
  const response = await fetch('/login', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ code }),
  });
  if (!response.ok) return false;
  token = ((await response.json()) as { token: string }).token;
  localStorage.setItem(tokenKey, token);
  return true;
}

export async function loadSession(): Promise<void> {
  session = await own<Session>('GET', '/session');
  localStorage.setItem(programKey, session.program);
}

export async function logout(): Promise<void> {
  try {
    await own('DELETE', '/session');
  } finally {
    endSession();
  }
}

async function request(method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { method, body, headers: { Authorization: 'Bearer ' + token, ...headers } });
  } catch {
    throw new ApiError(0, `${lastProgram()} does not answer`);
  }
  if (response.ok) return response;
  if (response.status === 401) endSession();
  const text = await response.text();
  let answer: any;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  throw new ApiError(response.status, answer?.message || text.trim() || response.statusText, answer);
}

async function parsed<T>(response: Response): Promise<T> {
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

/** get reads from the Kubernetes API; the path starts with /api or /apis. */
export async function get<T>(path: string, accept = 'application/json'): Promise<T> {
  return parsed<T>(await request('GET', '/k8s' + path, undefined, { Accept: accept }));
}

/** getText reads what is no JSON: logs. */
export async function getText(path: string): Promise<string> {
  return (await request('GET', '/k8s' + path, undefined, { Accept: '*/*' })).text();
}

/** send changes something through the Kubernetes API. A body that is a string is sent as it is. */
export async function send<T>(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<T> {
  return parsed<T>(await request(method, '/k8s' + path, encode(body), { 'Content-Type': contentType, Accept: 'application/json' }));
}

/** own talks to the page's own endpoints: /why, /objects, /forwards, /session. */
export async function own<T>(method: string, path: string, body?: unknown): Promise<T> {
  return parsed<T>(await request(method, path, encode(body), { 'Content-Type': 'application/json' }));
}

function encode(body: unknown): string | undefined {
  return body === undefined || typeof body === 'string' ? (body as string | undefined) : JSON.stringify(body);
}
