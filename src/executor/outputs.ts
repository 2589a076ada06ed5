import { posix } from 'node:path';
import { errorText, errorWithFix, isTappetError } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { Attempt, AttemptReason, AttemptResult, Execution, RenderedSpec } from '../core/execution.ts';
import type { Objects, ObjectStore } from '../core/objects.ts';
import type { OutputFile } from '../core/runner.ts';
import { isFolder, keyProblem, outputAddress } from '../core/staging.ts';
import type { Address, OutputSpec } from '../core/staging.ts';
import { onAbort, pause } from '../lib/service.ts';
import { contentTypeOf } from './content-type.ts';
import type { HoldUp } from './hold-up.ts';
import { inTurn } from './in-turn.ts';
import type { LifeContext } from './life-context.ts';
import { noting } from './noting.ts';
import { stopWords } from './outcome.ts';
import { renderSpec } from './render.ts';

/**
 * The container has the only copy of what may have taken hours: an object store that is away is asked again, at
 * first after a second, then ever more seldom, for about a quarter of an hour.
 */
const STORE_TRIES = 20;
const STORE_PAUSE_MS = 1_000;
const STORE_PAUSE_MAX_MS = 60_000;

export interface OutputsParams {
  readonly context: LifeContext;
  readonly execution: Execution;
  readonly holdUp: HoldUp;
  /** The row as last seen; a request to stop shows in it. */
  attempt(): Attempt;
  /** Settles when somebody asks to stop. */
  readonly stopAsked: Promise<void>;
}

/** What keeps an output from being stored, whoever is to blame. Never leaves this file. */
class OutputProblem extends Error {
  readonly reason: AttemptReason;
  constructor(reason: AttemptReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The sentence where an output's connection is not there (any more); undefined = all are. */
export function missingConnection({ outputs }: RenderedSpec, objects: Objects): string | undefined {
  const missing = outputs?.find(
    (text) => objects.connection(/^s3:\/\/([^/]+)/.exec(text)?.[1] ?? '') === undefined,
  );
  return missing === undefined
    ? undefined
    : `There is no connection as in ${missing}, where an output is to go.`;
}

/**
 * Stores the outputs of a container that ended well, and gives what the attempt's end then is. Where it was cut
 * short, by this process or an earlier one, all of it is done again: an object is there as a whole or not at all,
 * and the same bytes under the same key change nothing.
 *
 * | what happens                  | the attempt                                                      |
 * |-------------------------------|------------------------------------------------------------------|
 * | all stored                    | SUCCEEDED                                                        |
 * | nothing at a path             | OUTPUT_MISSING: the job's own failure, it may use a retry        |
 * | store away                    | asked again for a quarter of an hour, then OUTPUT_FAILED         |
 * | store or key refused          | OUTPUT_REFUSED: it will not pass by itself                       |
 * | engine away                   | waits as everything does; refused by it: OUTPUT_FAILED           |
 * | cancelled                     | goes on for the job's grace period, then CANCELLED               |
 *
 * Errors: SessionOver.
 */
export async function storeOutputs(params: OutputsParams, result: AttemptResult): Promise<AttemptResult> {
  const { outputs = [] } = params.execution.spec;
  if (outputs.length === 0 || result.state !== 'SUCCEEDED') return result;
  // A cancel has run out of patience, or the session is over.
  const ended = new AbortController();
  const undo = onAbort(params.context.session.signal, () => ended.abort());
  const upload = new Upload(params, ended.signal);
  const settled = new AbortController();
  void endAfterGrace(params, settled.signal).then(() => ended.abort());
  try {
    await upload.run();
    const stored = `${upload.stored} ${upload.stored === 1 ? 'file was' : 'files were'} stored.`;
    return { ...result, message: `${result.message} ${stored}` };
  } catch (error) {
    params.context.session.throwIfOver();
    if (ended.signal.aborted) return cancelled(params, result, upload.stored);
    if (!(error instanceof OutputProblem)) throw error;
    return { ...result, state: 'FAILED', reason: error.reason, message: error.message };
  } finally {
    settled.abort();
    undo();
  }
}

function cancelled(params: OutputsParams, result: AttemptResult, stored: number): AttemptResult {
  const message = `${stopWords(params.attempt().stopReason)} while its outputs were being stored; ${stored} of its files are stored.`;
  return { ...result, state: 'CANCELLED', reason: 'CANCELLED', message };
}

/** Resolves when a cancel has given the outputs as long as it gives a container, or `settled` aborts. */
async function endAfterGrace(params: OutputsParams, settled: AbortSignal): Promise<void> {
  const { clock } = params.context;
  const done = new Promise<void>((resolve) => onAbort(settled, resolve));
  if (params.attempt().stopReason === null) await Promise.race([params.stopAsked, done]);
  const { stopReason, stopRequestTime } = params.attempt();
  // A timeout is of the container, which has ended in time.
  if (stopReason === null || stopReason === 'timeout') return done;
  const graceMs = params.execution.spec.gracePeriodMs;
  const asked = stopRequestTime ?? clock.now();
  await pause(clock, Math.min(graceMs, Math.max(0, asked + graceMs - clock.now())), settled);
}

class Upload {
  readonly #params: OutputsParams;
  readonly #signal: AbortSignal;
  /** Files that have been stored, by output and path: a repetition passes them over. */
  readonly #stored = new Set<string>();
  #addresses: readonly string[] = [];

  constructor(params: OutputsParams, signal: AbortSignal) {
    this.#params = params;
    this.#signal = signal;
  }

  get stored(): number {
    return this.#stored.size;
  }

  /** Errors: OutputProblem, SessionOver, and anything once the signal has aborted. */
  async run(): Promise<void> {
    const { holdUp } = this.#params;
    const { clock, gate, log, transfers } = this.#params.context;
    this.#addresses = addressesOf(this.#params);
    const name = this.#params.attempt().containerName;
    for (let tries = 1; ; tries++) {
      const before = this.stored;
      try {
        // Waits with nothing in its hands: others may have a store that answers.
        return await holdUp.during('waits for its turn to have its files stored', () =>
          inTurn(transfers, this.#signal, () =>
            holdUp.during('has its files stored', () => gate.through(() => this.#once(name))),
          ),
        );
      } catch (error) {
        this.#signal.throwIfAborted();
        if (error instanceof OutputProblem) throw error;
        if (this.stored > before) tries = 1;
        if (!isTappetError(error)) log.error(`The outputs of ${name} met an unexpected error`, { error });
        if (!isTappetError(error, 'OBJECT_STORE_UNAVAILABLE') || tries >= STORE_TRIES) throw problemOf(error);
        if (tries === 1) log.warn(`The outputs of ${name} wait for their object store: ${errorText(error)}`);
        const pauseMs = Math.min(STORE_PAUSE_MS * 2 ** (tries - 1), STORE_PAUSE_MAX_MS);
        await holdUp.during(`waits for the object store of its files: ${errorText(error)}`, () =>
          pause(clock, pauseMs, this.#signal),
        );
      }
    }
  }

  async #once(name: string): Promise<void> {
    const { runner } = this.#params.context;
    for (const [i, output] of (this.#params.execution.spec.outputs ?? []).entries()) {
      let found = false;
      const path = isFolder(output.from) ? output.from.slice(0, -1) : output.from;
      for await (const file of runner.outputs(name, path, this.#signal)) {
        found = true;
        await this.#file(output, i, file);
      }
      if (!found) throw new OutputProblem('OUTPUT_MISSING', nothingAt(output));
    }
  }

  async #file(output: OutputSpec, index: number, file: OutputFile): Promise<void> {
    const address = this.#target(output, index, file);
    const which = `${index} ${file.path}`;
    if (this.#stored.has(which)) return drain(file.body);
    const store = this.#store(address);
    let engineError: unknown;
    const body = noting(file.body, (error) => (engineError = error));
    const { bucket, key } = address;
    const contentType = output.contentType ?? contentTypeOf(key);
    const type = contentType === undefined ? {} : { contentType };
    try {
      await store.put({ bucket, key }, body, { size: file.size, ...type, signal: this.#signal });
    } catch (error) {
      // What the store's client makes of an engine that went away says nothing about the store.
      throw engineError ?? error;
    }
    this.#stored.add(which);
  }

  #store({ connection }: Address): ObjectStore {
    const store = this.#params.context.objects.connection(connection);
    if (store !== undefined) return store;
    throw new OutputProblem(
      'OUTPUT_REFUSED',
      `There is no connection "${connection}" any more for an output.`,
    );
  }

  #target({ from }: OutputSpec, index: number, { path }: OutputFile): Address {
    const parsed = outputAddress(from, this.#addresses[index] ?? '');
    if (!parsed.ok) throw new TypeError(`output ${index} was not rendered: ${parsed.problem}`);
    if (isFolder(from) && path === '')
      throw new OutputProblem(
        'OUTPUT_MISSING',
        `${from} is a file: write it without / at its end in "outputs".`,
      );
    if (!isFolder(from) && path !== '')
      throw new OutputProblem(
        'OUTPUT_MISSING',
        `${from} is a folder: write it with / at its end in "outputs".`,
      );
    const { address } = parsed;
    const prefix = address.key === '' || isFolder(address.key);
    const key = prefix ? `${address.key}${isFolder(from) ? path : posix.basename(from)}` : address.key;
    const problem = keyProblem(key);
    if (problem === null) return { ...address, key };
    throw new OutputProblem('OUTPUT_REFUSED', `The key for ${JSON.stringify(path)} of ${from} ${problem}.`);
  }
}

/** As at the start; rendering is pure, and where it named `task` the row has kept what came out. */
function addressesOf(params: OutputsParams): readonly string[] {
  const { execution, context } = params;
  const row = params.attempt();
  if (row.rendered !== null) return row.rendered.outputs ?? [];
  const rendering = renderSpec(execution, row, context.expressions);
  if (!rendering.ok) throw new OutputProblem('OUTPUT_REFUSED', rendering.message);
  return rendering.rendered.outputs ?? [];
}

const nothingAt = ({ from, to }: OutputSpec): string =>
  isFolder(from)
    ? `It ended with exit code 0, but there is no file below ${from}, which was to become ${to}.`
    : `It ended with exit code 0, but there is no file ${from}, which was to become ${to}.`;

/** What will not pass by itself. */
const REFUSED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'OBJECT_ACCESS_DENIED',
  'BUCKET_NOT_FOUND',
  'SECRET_UNREADABLE',
  // Names and lengths: the work done again would give the same.
  'INVALID_ARGUMENT',
]);

function problemOf(error: unknown): OutputProblem {
  const reason = isTappetError(error) && REFUSED.has(error.code) ? 'OUTPUT_REFUSED' : 'OUTPUT_FAILED';
  return new OutputProblem(reason, `Its outputs could not be stored: ${errorWithFix(error)}`);
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of body) void chunk;
}
