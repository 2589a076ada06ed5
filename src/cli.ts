#!/usr/bin/env node
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { pause } from './client/client.ts';
import { EXIT } from './commands/exit-codes.ts';
import { runCli } from './commands/program.ts';

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
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // Asked twice: whoever waits has waited long enough.
    if (interrupt.signal.aborted) process.exit(EXIT.interrupted);
    interrupt.abort();
  });
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
  now: () => Date.now(),
  fetch: (url, init) => fetch(url, init),
  pause,
  signal: interrupt.signal,
  version: version(),
});
// Not before the last byte is out; and not waiting for what may still be open (kept-alive connections).
process.stdout.write('', () => process.exit(code));
