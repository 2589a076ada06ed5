#!/usr/bin/env node
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { pause } from './client/client.ts';
import { EXIT } from './commands/exit-codes.ts';
import { runCli } from './commands/program.ts';
import { readAnswer, readSecret } from './commands/read-secret.ts';

// Syncs of the store share node's pool with all other work on files: four that hang must not be all there are. Read by
// the pool at its first use, which is after this.
process.env['UV_THREADPOOL_SIZE'] ??= '16';

/** Beside `src`, or one folder above where compiled code lies. */
function version(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as {
        version: string;
      };
      return manifest.version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}

const interrupt = new AbortController();
/** For who, asked once, waits by intention. */
let second: (() => void) | undefined;
/** Ctrl-C reaches a program twice at once that npx has started: from the terminal, and passed on by npm. */
const SAME_MS = 500;
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  let heardAt = -Infinity;
  process.on(name, () => {
    const same = performance.now() - heardAt < SAME_MS;
    heardAt = performance.now();
    if (same) return;
    if (!interrupt.signal.aborted) return interrupt.abort();
    // Asked again: whoever waits has waited long enough.
    const heard = second;
    second = undefined;
    if (heard === undefined) process.exit(EXIT.interrupted);
    heard();
  });
}
function onSecondInterrupt(fn: () => void): () => void {
  second = fn;
  return () => (second = undefined);
}

/** Whether the terminal that it was started at is still there; true where there was none. */
function terminalIsThere(): boolean {
  if (!atTerminal) return true;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
const atTerminal = process.stdin.isTTY || process.stderr.isTTY;

/** The system says with the same signal that a terminal was closed: then the process ends by it, as any other would. */
function onHangUp(fn: () => void): () => void {
  if (process.platform === 'win32') return () => undefined;
  const heard = (): void => {
    if (terminalIsThere()) return fn();
    forget();
    process.kill(process.pid, 'SIGHUP');
  };
  const forget = (): void => void process.off('SIGHUP', heard);
  process.on('SIGHUP', heard);
  return forget;
}

// `tappet logs … | head`: the reader went away, which is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed),
);

const code = await runCli(process.argv.slice(2), {
  env: process.env,
  out: async (data) => {
    if (!process.stdout.write(data)) await once(process.stdout, 'drain');
  },
  err: (line) => process.stderr.write(`${line}\n`),
  readStdin: () => text(process.stdin),
  readSecret: (question) =>
    readSecret({ input: process.stdin, output: process.stderr, signal: interrupt.signal }, question),
  ask: (question) =>
    readAnswer({ input: process.stdin, output: process.stderr, signal: interrupt.signal }, question),
  now: () => Date.now(),
  fetch: (url, init) => fetch(url, init),
  pause,
  signal: interrupt.signal,
  onSecondInterrupt,
  onHangUp,
  version: version(),
});
// Not before the last byte is out; and not waiting for what may still be open (kept-alive connections).
process.stdout.write('', () => process.exit(code));
