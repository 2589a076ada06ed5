import type { Clock } from './core/clock.ts';
import { errorWithFix } from './core/errors.ts';
import type { JsonObject } from './core/json.ts';
import type { Log } from './core/log.ts';
import type { WriteWatch } from './core/write-watch.ts';

/** A disk that has room again is to be told of within seconds, though nothing comes in that would be written. */
const PROBE_MS = 1_000;

export type Part = 'database' | 'logs' | 'bodies';
const WORDS: Readonly<Record<Part, string>> = {
  database: 'The database takes writes again.',
  logs: 'The logs can be written again.',
  bodies: 'Bodies of calls can be written to files again.',
};

export interface HealthOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Tries to write; what comes of it is told to the part's own watch, or thrown. */
  readonly probes: Readonly<Record<Part, () => Promise<void>>>;
}

interface Problem {
  readonly message: string;
  /** Epoch ms. */
  readonly since: number;
  cancelProbe: () => void;
}

/**
 * What cannot be written now. A part is sound → failing (a write failed; it is said once, and tried each second) → sound
 * (any write worked).
 */
export class Health {
  readonly #options: HealthOptions;
  readonly #problems = new Map<Part, Problem>();
  #stopped = false;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  watch(part: Part): WriteWatch {
    return { worked: () => this.#worked(part), failed: (error) => this.#failed(part, error) };
  }

  /** Whether what comes in can be stored, as far as is known. */
  get canStore(): boolean {
    return !this.#problems.has('database');
  }

  /** `{ state: ok | degraded, problems: [{ part, message, since }] }`. */
  status(): JsonObject {
    const problems = [...this.#problems].map(([part, { message, since }]) => ({ part, message, since }));
    return { state: problems.length === 0 ? 'ok' : 'degraded', problems };
  }

  stop(): void {
    this.#stopped = true;
    for (const { cancelProbe } of this.#problems.values()) cancelProbe();
  }

  #failed(part: Part, error: unknown): void {
    if (this.#stopped || this.#problems.has(part)) return;
    const { clock, log } = this.#options;
    const problem = { message: errorWithFix(error), since: clock.now(), cancelProbe: () => undefined };
    this.#problems.set(part, problem);
    log.error(problem.message);
    this.#armProbe(part, problem);
  }

  #worked(part: Part): void {
    const problem = this.#problems.get(part);
    if (problem === undefined) return;
    problem.cancelProbe();
    this.#problems.delete(part);
    this.#options.log.info(WORDS[part]);
  }

  #armProbe(part: Part, problem: Problem): void {
    problem.cancelProbe = this.#options.clock.setTimer(PROBE_MS, () => void this.#probe(part, problem));
  }

  async #probe(part: Part, problem: Problem): Promise<void> {
    try {
      await this.#options.probes[part]();
      this.#worked(part);
    } catch {
      // Said when it began; it goes on as long as the same problem does.
      if (!this.#stopped && this.#problems.get(part) === problem) this.#armProbe(part, problem);
    }
  }
}
