import { runCli } from '../../src/commands/program.ts';
import type { CliIo } from '../../src/commands/io.ts';

export interface CliRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A command line without a terminal, a network or an environment; `over` gives it some. */
export function testIo(over: Partial<CliIo> = {}): CliIo {
  return {
    env: {},
    out: async () => undefined,
    err: () => undefined,
    readStdin: async () => '',
    readSecret: async () => new Uint8Array(),
    ask: async () => undefined,
    now: () => Date.parse('2026-01-01T00:02:00Z'),
    fetch: () => Promise.reject(new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') })),
    pause: async () => undefined,
    signal: new AbortController().signal,
    onSecondInterrupt: () => () => undefined,
    onHangUp: () => () => undefined,
    version: '1.2.3',
    ...over,
  };
}

/** Runs one command line in this process, with what it prints captured. */
export async function cli(args: readonly string[], over: Partial<CliIo> = {}): Promise<CliRun> {
  const out: Buffer[] = [];
  let err = '';
  const io = testIo({
    out: async (data) => void out.push(Buffer.from(data)),
    err: (line) => (err += `${line}\n`),
    ...over,
  });
  const code = await runCli(args, io);
  return { code, out: Buffer.concat(out).toString(), err };
}
