import { InvalidArgumentError } from 'commander';
import type { Client } from '../client/client.ts';
import type { ExecutionResource } from '../client/api.ts';
import { parseDuration } from '../lib/duration.ts';
import { EXIT } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { ExitWith } from './io.ts';
import { followLog } from './logs.ts';
import { clean } from './output.ts';

export interface WaitOptions {
  readonly wait?: boolean;
  readonly follow?: boolean;
  readonly waitTimeout?: number;
}

const POLL_MS = 500;
/** So many looks find the same before it is told what an execution waits for: most of it is over sooner. */
const TELL_AFTER = 4;

/** The last line; ends with another exit code where it did not succeed. */
export function tellEnd(io: CliIo, { name, state, message }: ExecutionResource): void {
  io.err(clean(`${name}: ${state}${message === null ? '' : `: ${message}`}`));
  if (state !== 'SUCCEEDED') throw new ExitWith(EXIT.failed);
}

/** Polls, and follows the log, until the execution has ended; a timer bounds both. What it waits for for long is told. */
export async function untilEnd(
  io: CliIo,
  client: Client,
  started: ExecutionResource,
  options: WaitOptions,
): Promise<ExecutionResource> {
  const late = new AbortController();
  const done = new AbortController();
  const { waitTimeout } = options;
  if (waitTimeout !== undefined) {
    void io.pause(waitTimeout, AbortSignal.any([done.signal, io.signal])).then(() => late.abort());
  }
  const signal = AbortSignal.any([late.signal, io.signal]);
  try {
    const { name } = started;
    const ended = poll(io, client, name, AbortSignal.any([signal, done.signal]));
    const task = { index: 0, attempt: 0, signal };
    const followed = options.follow === true ? followLog(io, client, name, task) : undefined;
    const [execution] = await Promise.all([ended, followed]);
    return execution;
  } catch (error) {
    const { name } = started;
    if (io.signal.aborted) io.err(`${name} goes on. Stop it with: tappet executions cancel ${name}`);
    if (io.signal.aborted || !late.signal.aborted) throw error;
    io.err(`${name} has not ended in time; it goes on. Stop it with: tappet executions cancel ${name}`);
    throw new ExitWith(EXIT.timedOut);
  } finally {
    done.abort();
  }
}

async function poll(
  io: CliIo,
  client: Client,
  name: string,
  signal: AbortSignal,
): Promise<ExecutionResource> {
  let seen: string | undefined;
  let times = 0;
  for (;;) {
    const execution = await client.executions.get(name);
    const { state, waitsFor } = execution;
    if (state !== 'PENDING' && state !== 'RUNNING') return execution;
    // How far it is stands behind the colon.
    const kind = waitsFor?.split(':', 1)[0];
    times = kind === seen ? times + 1 : 1;
    seen = kind;
    if (times === TELL_AFTER && waitsFor !== null) io.err(clean(`${name} ${waitsFor}`));
    await io.pause(POLL_MS, signal);
    signal.throwIfAborted();
  }
}

/** Milliseconds of a text such as `90s`. */
export function durationOption(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof RangeError ? error.message : String(error));
  }
}
