import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { ListedContainer, Runner } from '../core/runner.ts';
import { isTerminal } from '../core/states.ts';
import type { QueryStore } from '../core/store.ts';

/** Nomad's values: what nobody knows may be about to become known (a database that is being restored). */
const GRACE_MS = 5 * 60_000;

export interface OrphanContainersOptions {
  readonly store: Pick<QueryStore, 'listAttempts'>;
  readonly clock: Clock;
  readonly log: Log;
  /** The engine, while this process is in charge of it. */
  runner(): Runner | undefined;
}

/**
 * Removes containers of this instance that no open attempt needs: at once where the attempt has ended, after five
 * minutes where there is no such attempt.
 */
export class OrphanContainers {
  readonly #options: OrphanContainersOptions;

  constructor(options: OrphanContainersOptions) {
    this.#options = options;
  }

  /** Gives the number of containers removed. Errors: ENGINE_UNAVAILABLE, STORE_UNAVAILABLE. */
  async runOnce(signal?: AbortSignal): Promise<number> {
    const runner = this.#options.runner();
    let removed = 0;
    for (const container of (await runner?.list()) ?? []) {
      if (signal?.aborted === true) break;
      const why = await this.#whyOrphan(container);
      // It may have lost the engine meanwhile.
      if (why === undefined || runner === undefined || this.#options.runner() !== runner) continue;
      if (await this.#remove(runner, container, why)) removed += 1;
    }
    return removed;
  }

  async #whyOrphan({ key, createTime }: ListedContainer): Promise<string | undefined> {
    const { store, clock } = this.#options;
    const attempts = await store.listAttempts(key.execution, key.index);
    const attempt = attempts.find((candidate) => candidate.attempt === key.attempt);
    if (attempt !== undefined) return isTerminal(attempt.state) ? 'its attempt has ended' : undefined;
    return clock.now() - createTime >= GRACE_MS ? 'nothing in the store knows of it' : undefined;
  }

  /** One that will not go does not keep the others. */
  async #remove(runner: Runner, { name }: ListedContainer, why: string): Promise<boolean> {
    const { log } = this.#options;
    try {
      await runner.remove(name);
      log.warn(`Removed the container ${name}: ${why}.`);
      return true;
    } catch (error) {
      log.warn(`The container ${name} could not be removed: ${errorText(error)}`);
      return false;
    }
  }
}
