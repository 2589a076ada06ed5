import type { Clock } from '../core/clock.ts';
import type { Execution } from '../core/execution.ts';
import { outputValue } from '../core/job.ts';
import type { Json } from '../core/json.ts';
import type { ExecutionResult } from '../core/source.ts';
import { isTerminal } from '../core/states.ts';
import type { QueryStore } from '../core/store.ts';
import { onAbort, OVER, pause } from '../lib/service.ts';

/** Looked at so far apart: first often, as most that are waited for are short. */
const FIRST_LOOK_MS = 20;
const LAST_LOOK_MS = 250;
/** Outputs of an execution's first so many tasks: 6 MiB at most. */
const MAX_OUTPUTS = 100;

export interface ResultsDeps {
  readonly store: Pick<QueryStore, 'getExecution' | 'listAttempts'>;
  readonly clock: Clock;
}
export interface WaitParams {
  readonly withinMs: number;
  /** What the one who waits keeps in memory meanwhile. */
  readonly bytes: number;
  /** Ends the wait early; what is known by then is the answer. */
  readonly signal: AbortSignal;
}

/** Callers that are kept waiting at the same time, of all triggers: each holds a connection, and its body. */
const MAX_WAITING = 500;
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** All who wait for results; beyond the bounds, and once it is stopped, whoever asks is told at once how things are. */
export class ResultWaits {
  readonly #deps: ResultsDeps;
  readonly #stopped = new AbortController();
  #count = 0;
  #bytes = 0;

  constructor(deps: ResultsDeps) {
    this.#deps = deps;
  }

  /** Errors: STORE_UNAVAILABLE. */
  async wait(names: readonly string[], params: WaitParams): Promise<ExecutionResult[]> {
    const { bytes } = params;
    const room = this.#count < MAX_WAITING && this.#bytes + bytes <= MAX_WAITING_BYTES;
    if (!room || params.withinMs === 0) return waitForResults(this.#deps, names, { ...params, withinMs: 0 });
    this.#count += 1;
    this.#bytes += bytes;
    const ended = new AbortController();
    const undo = [params.signal, this.#stopped.signal].map((signal) => onAbort(signal, () => ended.abort()));
    try {
      return await waitForResults(this.#deps, names, { ...params, signal: ended.signal });
    } finally {
      for (const fn of undo) fn();
      this.#count -= 1;
      this.#bytes -= bytes;
    }
  }

  /** Whoever waits is told now. */
  stop(): void {
    this.#stopped.abort();
  }
}

/**
 * How these executions ended, as soon as all of them have, or else as they are when `withinMs` are over; without those
 * that are kept no longer. Errors: STORE_UNAVAILABLE.
 */
export async function waitForResults(
  { store, clock }: ResultsDeps,
  names: readonly string[],
  { withinMs, signal }: Pick<WaitParams, 'withinMs' | 'signal'>,
): Promise<ExecutionResult[]> {
  const over = new AbortController();
  const undo = onAbort(signal, () => over.abort(OVER));
  // One timer for all of it: hundreds of looks, each a little late, would add up to seconds.
  const cancel = clock.setTimer(withinMs, () => over.abort(OVER));
  try {
    for (let look = FIRST_LOOK_MS; ; look = Math.min(LAST_LOOK_MS, look * 2)) {
      const found = await Promise.all(names.map((name) => store.getExecution(name)));
      const executions = found.filter((execution) => execution !== undefined);
      const last = withinMs <= 0 || over.signal.aborted;
      if (last || executions.every(({ state }) => isTerminal(state)))
        return await Promise.all(executions.map((execution) => resultOf(store, execution)));
      await pause(clock, look, over.signal);
    }
  } finally {
    cancel();
    undo();
  }
}

async function resultOf(store: ResultsDeps['store'], execution: Execution): Promise<ExecutionResult> {
  const { name, state, reason, message } = execution;
  const ended = isTerminal(state);
  return { execution: name, state, ended, reason, message, ...(await outputs(store, execution, ended)) };
}

/** Of a job with `output`: of its only task `output`, of several `outputs` by index. */
async function outputs(
  store: ResultsDeps['store'],
  { name, spec }: Execution,
  ended: boolean,
): Promise<Pick<ExecutionResult, 'output' | 'outputs'>> {
  if (spec.output === undefined || !ended) return {};
  const count = Math.min(spec.taskCount, MAX_OUTPUTS);
  const all = await Promise.all(
    Array.from({ length: count }, async (_, index): Promise<Json> => {
      const text = (await store.listAttempts(name, index)).at(-1)?.output;
      return text === undefined ? null : outputValue(text, spec);
    }),
  );
  return spec.taskCount === 1 ? { output: all[0] ?? null } : { outputs: all };
}
