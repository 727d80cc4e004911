// A command in a container: Kubernetes' remote command protocol over a WebSocket, v5.channel.k8s.io. The first byte of each
// message is its channel.

import { socket } from '../api';

const stdin = 0;
const stdout = 1;
const stderr = 2;
const status = 3;
const resize = 4;
const close = 255;

/** The first shell that the container has. exec lets it take the place of sh, so that its exit status is that of the command. */
const shell = 'TERM=xterm-256color; export TERM; exec $(command -v bash || command -v ash || command -v sh)';

/** Place is where the command runs. */
export interface ExecPlace {
  namespace: string;
  pod: string;
  container: string;
}

export interface ExecHandlers {
  onOpen(): void;
  onOutput(bytes: Uint8Array): void;
  /** onEnd says in one line how it ended. It is called once. */
  onEnd(message: string): void;
}

/** Exec is a shell that runs. */
export class Exec {
  private ws: WebSocket;
  private ended = false;
  private encoder = new TextEncoder();
  private result = '';

  constructor(place: ExecPlace, handlers: ExecHandlers) {
    this.ws = socket(execPath(place), ['v5.channel.k8s.io']);
    this.ws.binaryType = 'arraybuffer';
    this.ws.onopen = () => handlers.onOpen();
    this.ws.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
      const bytes = typeof event.data === 'string' ? this.encoder.encode(event.data) : new Uint8Array(event.data);
      const rest = bytes.subarray(1);
      if (bytes[0] === stdout || bytes[0] === stderr) {
        if (rest.length) handlers.onOutput(rest);
      } else if (bytes[0] === status) this.result = describe(new TextDecoder().decode(rest));
    };
    const end = (message: string) => {
      if (this.ended) return;
      this.ended = true;
      handlers.onEnd(message);
    };
    this.ws.onclose = (event) => end(this.result || event.reason || 'The connection was lost.');
    this.ws.onerror = () =>
      window.setTimeout(() => end(this.result || 'The terminal could not be opened: the container may not run, or you may not exec into it.'), 200);
  }

  write(text: string): void {
    this.send(stdin, this.encoder.encode(text));
  }

  resize(width: number, height: number): void {
    this.send(resize, this.encoder.encode(JSON.stringify({ Width: width, Height: height })));
  }

  /** close ends the shell: it gets the end of its input, and the connection is closed. */
  close(): void {
    this.ended = true;
    this.send(close, new Uint8Array([stdin]));
    this.ws.close();
  }

  private send(channel: number, bytes: Uint8Array): void {
    if (this.ws.readyState !== WebSocket.OPEN) return;
    const message = new Uint8Array(bytes.length + 1);
    message[0] = channel;
    message.set(bytes, 1);
    this.ws.send(message);
  }
}

function execPath({ namespace, pod, container }: ExecPlace): string {
  const query = new URLSearchParams({ container, stdin: 'true', stdout: 'true', stderr: 'true', tty: 'true' });
  for (const word of ['sh', '-c', shell]) query.append('command', word);
  return `/k8s/api/v1/namespaces/${namespace}/pods/${pod}/exec?${query.toString()}`;
}

interface Status {
  status?: string;
  message?: string;
  details?: { causes?: { reason?: string; message?: string }[] };
}

/** describe reads the Status that ends a command. */
function describe(text: string): string {
  let result: Status;
  try {
    result = JSON.parse(text) as Status;
  } catch {
    return text;
  }
  if (result.status === 'Success') return 'The shell ended with exit code 0.';
  const code = result.details?.causes?.find((c) => c.reason === 'ExitCode')?.message;
  if (code === '127' || /executable file not found|no such file/i.test(result.message ?? ''))
    return `This container has no shell: ${result.message ?? 'exit code 127'}`;
  return code ? `The shell ended with exit code ${code}.` : (result.message ?? 'The shell ended.');
}
