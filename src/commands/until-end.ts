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
const TELL_AFTER = 5;

/** The last line; ends with another exit code where it did not succeed. */
export function tellEnd(io: CliIo, { name, state, message }: ExecutionResource): void {
  io.err(clean(`${name}: ${state}${message === null ? '' : `: ${message}`}`));
  if (state !== 'SUCCEEDED') throw new ExitWith(EXIT.failed);
}

/** Follows or polls until the execution has ended; a timer bounds both. What it waits for for long is told. */
export async function untilEnd(
  io: CliIo,
  client: Client,
  started: ExecutionResource,
  options: WaitOptions,
): Promise<ExecutionResource> {
  const late = new AbortController();
  const done = new AbortController();
  const followed = new AbortController();
  const { waitTimeout } = options;
  if (waitTimeout !== undefined) {
    void io.pause(waitTimeout, AbortSignal.any([done.signal, io.signal])).then(() => late.abort());
  }
  const signal = AbortSignal.any([late.signal, io.signal]);
  try {
    const { name } = started;
    if (options.follow === true) {
      // Whatever becomes of it: the log is what is followed, and has tries of its own.
      void poll(io, client, name, AbortSignal.any([signal, followed.signal])).catch(() => undefined);
      await followLog(io, client, name, { index: 0, attempt: 0, signal });
      followed.abort();
    }
    return await poll(io, client, name, signal);
  } catch (error) {
    const { name } = started;
    if (io.signal.aborted) io.err(`${name} goes on. Stop it with: tappet executions cancel ${name}`);
    if (io.signal.aborted || !late.signal.aborted) throw error;
    io.err(`${name} has not ended in time; it goes on. Stop it with: tappet executions cancel ${name}`);
    throw new ExitWith(EXIT.timedOut);
  } finally {
    done.abort();
    followed.abort();
  }
}

async function poll(
  io: CliIo,
  client: Client,
  name: string,
  signal: AbortSignal,
): Promise<ExecutionResource> {
  const waits = new Waits();
  for (;;) {
    const execution = await client.executions.get(name);
    signal.throwIfAborted();
    if (execution.state !== 'PENDING' && execution.state !== 'RUNNING') return execution;
    const words = waits.toTell(execution.waitsFor);
    if (words !== undefined) io.err(clean(`${name} ${words}`));
    await io.pause(POLL_MS, signal);
    signal.throwIfAborted();
  }
}

/** What an execution waits for is told where it lasts, and once for each kind of it. */
class Waits {
  readonly #told = new Set<string>();
  #kind: string | undefined;
  #times = 0;

  /** `words`: as just looked at; gives them where they are to be told now. */
  toTell(words: string | null): string | undefined {
    // Which of its tasks it is, and how far that is, makes no other kind.
    const kind = words?.replace(/^task \d+ /, '').split(':', 1)[0];
    this.#times = kind === this.#kind ? this.#times + 1 : 1;
    this.#kind = kind;
    if (words === null || kind === undefined || this.#times < TELL_AFTER || this.#told.has(kind))
      return undefined;
    this.#told.add(kind);
    return words;
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
