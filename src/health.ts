import type { Clock } from './core/clock.ts';
import { errorWithFix } from './core/errors.ts';
import type { JsonObject } from './core/json.ts';
import type { Log } from './core/log.ts';
import type { WriteWatch } from './core/write-watch.ts';

/** A disk that has room again is to be told of within seconds, though nothing comes in that would be written. */
const PROBE_MS = 1_000;
/** After a recovery, how often a part that comes and goes is told of at most. */
const LINE_MS = 60_000;

export type Part = 'database' | 'logs' | 'bodies';
const WORDS: Readonly<Record<Part, string>> = {
  database: 'The database takes writes again.',
  logs: 'The logs can be written again.',
  bodies: 'Bodies of calls can be written to files again.',
};

/** A few bytes may fit into the last page of a file on a disk that is full: only what the probe writes proves anything. */
const BY_PROBE: ReadonlySet<Part> = new Set(['logs', 'bodies']);

export interface HealthOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Tries to write; what comes of it is told to the part's own watch, or thrown. */
  readonly probes: Readonly<Record<Part, () => Promise<void>>>;
}

/** A part that has recovered, and may fail again at once. */
interface Damping {
  /** Epoch ms of the last line about it. */
  lineTime: number;
  /** What was not told since. */
  changes: number;
  failures: number;
  cancelLine: () => void;
}

interface Problem {
  readonly message: string;
  /** Epoch ms. */
  readonly since: number;
  cancelProbe: () => void;
}

/**
 * What cannot be written now. A part is sound → failing (a write failed; it is said once, and tried each second) → sound
 * (the probe worked; for the database any write). What the log hears of that:
 *
 * | state  | a part fails or recovers                     | a minute after its last line                                 |
 * |--------|----------------------------------------------|--------------------------------------------------------------|
 * | calm   | a line at once; with its recovery it → damped | –                                                            |
 * | damped | counted                                      | nothing counted: → calm. Else one line, with how it is then  |
 * |        |                                              | and how often it failed; a minute begins anew                |
 */
export class Health {
  readonly #options: HealthOptions;
  readonly #problems = new Map<Part, Problem>();
  readonly #damped = new Map<Part, Damping>();
  #stopped = false;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  watch(part: Part): WriteWatch {
    const worked = BY_PROBE.has(part) ? () => undefined : () => this.#worked(part);
    return { worked, failed: (error) => this.#failed(part, error) };
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

  /** What was counted and not told is told: who looks for why it ended must not read of an older state. */
  stop(): void {
    this.#stopped = true;
    for (const { cancelProbe } of this.#problems.values()) cancelProbe();
    for (const [part, damped] of this.#damped) {
      if (damped.changes === 0) continue;
      damped.cancelLine();
      this.#line(part, this.#untold(part, damped));
    }
    this.#damped.clear();
  }

  #failed(part: Part, error: unknown): void {
    if (this.#stopped || this.#problems.has(part)) return;
    const { clock } = this.#options;
    const problem = { message: errorWithFix(error), since: clock.now(), cancelProbe: () => undefined };
    this.#problems.set(part, problem);
    this.#tell(part);
    this.#armProbe(part, problem);
  }

  #worked(part: Part): void {
    const problem = this.#problems.get(part);
    if (this.#stopped || problem === undefined) return;
    problem.cancelProbe();
    this.#problems.delete(part);
    this.#tell(part);
  }

  /** It has failed or recovered just now. */
  #tell(part: Part): void {
    const now = this.#options.clock.now();
    const damped = this.#damped.get(part);
    // Below zero: the clock was set back.
    const left = damped === undefined ? 0 : LINE_MS - Math.max(0, now - damped.lineTime);
    if (damped !== undefined && (damped.changes > 0 || left > 0)) {
      if (damped.changes === 0) this.#armLine(part, damped, left);
      damped.changes += 1;
      if (this.#problems.has(part)) damped.failures += 1;
      return;
    }
    this.#damped.delete(part);
    this.#line(part, '');
    if (!this.#problems.has(part))
      this.#damped.set(part, { lineTime: now, changes: 0, failures: 0, cancelLine: () => undefined });
  }

  #armLine(part: Part, damped: Damping, ms: number): void {
    damped.cancelLine = this.#options.clock.setTimer(ms, () => {
      this.#line(part, this.#untold(part, damped));
      Object.assign(damped, { lineTime: this.#options.clock.now(), changes: 0, failures: 0 });
    });
  }

  #untold(part: Part, { failures }: Damping): string {
    if (failures < (this.#problems.has(part) ? 2 : 1)) return '';
    return ` It failed ${failures === 1 ? 'once' : `${failures} times`} since the last line about it.`;
  }

  #line(part: Part, more: string): void {
    const { log } = this.#options;
    const problem = this.#problems.get(part);
    if (problem === undefined) log.info(`${WORDS[part]}${more}`);
    else log.error(`${problem.message}${more}`);
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
