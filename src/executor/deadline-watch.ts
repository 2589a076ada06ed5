import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { ExecutorStore } from '../core/store.ts';
import { pause, Service } from '../lib/service.ts';

/** How late a deadline may be noticed. */
const POLL_MS = 1_000;
/** Halted by one call: bounds the transaction. */
const MAX_BATCH = 50;

export interface DeadlineWatchOptions {
  readonly store: Pick<ExecutorStore, 'haltOverdue'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Something may have to be stopped. */
  onHalted(): void;
}

/**
 * Halts executions whose deadline has passed, with or without an engine: what waits for one that is away is overdue
 * all the same. The deadlines are rows, so that a restart forgets none; every gateway on the store may look.
 */
export class DeadlineWatch extends Service {
  readonly #options: DeadlineWatchOptions;
  #problem: string | null = null;

  constructor(options: DeadlineWatchOptions) {
    super();
    this.#options = options;
  }

  protected async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const more = await this.#look();
      if (!more) await pause(this.#options.clock, POLL_MS, signal);
    }
  }

  /** Whether there may be more at once. */
  async #look(): Promise<boolean> {
    const { store, log } = this.#options;
    try {
      const halted = await store.haltOverdue(MAX_BATCH);
      this.#problem = null;
      if (halted > 0) this.#options.onHalted();
      return halted === MAX_BATCH;
    } catch (error) {
      const problem = `Could not look for overdue executions; trying again every second: ${errorText(error)}`;
      if (problem !== this.#problem) log.error(problem);
      this.#problem = problem;
      return false;
    }
  }
}
