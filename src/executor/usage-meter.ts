import type { Clock } from '../core/clock.ts';
import type { Attempt, AttemptKey } from '../core/execution.ts';
import type { JobSpec } from '../core/job.ts';
import type { Runner } from '../core/runner.ts';
import type { ExecutorStore } from '../core/store.ts';
import type { AttemptUsage, Measurement } from '../core/usage.ts';
import { pause } from '../lib/service.ts';
import type { EngineGate } from './engine-gate.ts';
import type { Ended } from './outcome.ts';
import type { Session } from './session.ts';

/** How often it is looked at what falls due. What has ended by the first look costs the engine nothing. */
const LOOK_MS = 1_000;
/** While a container is young its use is a large part of the whole. */
const YOUNG_MS = 5_000;
const EVERY_MS = 5_000;
/** Questions at the same time: beyond what the engine answers, containers are measured more seldom. */
const AT_ONCE = 4;
/** How much a crash of the gateway may forget. */
const STORE_MS = 30_000;

export interface UsageMeterOptions {
  readonly runner: Runner;
  readonly gate: EngineGate;
  readonly store: ExecutorStore;
  readonly session: Session;
  readonly clock: Clock;
}

/**
 * Measures the containers that run: each is watched from its start (or adoption) to its end. An engine keeps no account
 * of a container that has ended, so that what it used after the last look is not known. An answer that does not come is
 * no failure of anything: the next one tells it too, but for a peak in between.
 */
export class UsageMeter {
  readonly #options: UsageMeterOptions;
  readonly #gauges = new Map<string, Gauge>();

  constructor(options: UsageMeterOptions) {
    this.#options = options;
  }

  /**
   * `attempt` is the row of one that has run for `ranMs`; what was measured before this process came stands in it.
   */
  watch(attempt: Attempt, ranMs: number): Gauge {
    const { clock, runner } = this.#options;
    const gauge = new Gauge(attempt, ranMs, { clock, runner, onEnd: () => this.#gauges.delete(gauge.name) });
    this.#gauges.set(gauge.name, gauge);
    return gauge;
  }

  /** Until the session is over. */
  async run(): Promise<void> {
    const { clock, session } = this.#options;
    for (;;) {
      await pause(clock, LOOK_MS, session.signal);
      if (session.signal.aborted) return;
      await this.#measureDue();
      await this.#storeDue();
    }
  }

  async #measureDue(): Promise<void> {
    const now = this.#options.clock.elapsed();
    const due = [...this.#gauges.values()].filter((gauge) => gauge.isDue(now));
    const worker = async (): Promise<void> => {
      for (let gauge = due.pop(); gauge !== undefined; gauge = due.pop()) {
        if (!this.#options.gate.up || this.#options.session.signal.aborted) return;
        await gauge.measure();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  async #storeDue(): Promise<void> {
    const { store, runner, session, clock } = this.#options;
    const unstored = [...this.#gauges.values()].filter((gauge) => gauge.isUnstored(clock.elapsed()));
    if (unstored.length === 0 || session.signal.aborted) return;
    const measured = unstored.map((gauge) => gauge.take());
    try {
      await store.attemptsMeasured({ engine: runner.engine, epoch: session.epoch, measured });
    } catch {
      // The next time tells the same and more; that the store fails is said by those whose writes must get in.
    }
  }
}

interface GaugeOptions {
  readonly clock: Clock;
  readonly runner: Runner;
  readonly onEnd: () => void;
}

/** What one container has used so far. */
export class Gauge {
  readonly name: string;
  readonly #key: AttemptKey;
  readonly #options: GaugeOptions;
  /** Like all times here: on the clock that nobody sets. */
  readonly #bornAt: number;
  #measurement: Measurement | null = null;
  #peak: number | null;
  #cpuMs: number | null;
  #measureTime: number | null;
  readonly #pulledBytes: number | null;
  #dueAt: number;
  #storedAt: number;
  #measuring: Promise<void> | null = null;

  constructor(attempt: Attempt, ranMs: number, options: GaugeOptions) {
    const { execution, index, attempt: number, usage } = attempt;
    this.name = attempt.containerName;
    this.#key = { execution, index, attempt: number };
    this.#options = options;
    this.#peak = usage?.peakMemoryBytes ?? null;
    this.#cpuMs = usage?.cpuMs ?? null;
    this.#measureTime = usage?.measureTime ?? null;
    this.#pulledBytes = usage?.pulledBytes ?? null;
    this.#bornAt = options.clock.elapsed() - ranMs;
    this.#dueAt = this.#bornAt + LOOK_MS;
    this.#storedAt = this.#bornAt;
  }

  /** What stands so far; what only the end tells is null. */
  get usage(): AttemptUsage {
    return {
      wallMs: null,
      cpuMs: this.#cpuMs,
      peakMemoryBytes: this.#peak,
      measureTime: this.#measureTime,
      pulledBytes: this.#pulledBytes,
    };
  }
  /** What it had in use when it was last looked at; null = not known. */
  get lastMemoryBytes(): number | null {
    return this.#measurement?.memoryBytes ?? null;
  }

  isDue(now: number): boolean {
    return now >= this.#dueAt && this.#measuring === null;
  }
  isUnstored(now: number): boolean {
    return this.#measurement !== null && now >= this.#storedAt + STORE_MS;
  }
  take(): { readonly key: AttemptKey; readonly usage: AttemptUsage } {
    this.#storedAt = this.#options.clock.elapsed();
    return { key: this.#key, usage: this.usage };
  }

  /** Looks now. Never rejects. */
  measure(): Promise<void> {
    this.#measuring ??= this.#ask().finally(() => (this.#measuring = null));
    return this.#measuring;
  }

  /** Nothing is measured any more. */
  end(): void {
    this.#options.onEnd();
  }

  async #ask(): Promise<void> {
    const { clock, runner } = this.#options;
    // An engine that is away or refuses is the affair of those who need it.
    const measurement = await runner.usage(this.name).catch(() => null);
    const now = clock.elapsed();
    const young = now - this.#bornAt < YOUNG_MS;
    // After the answer, so that a slow engine is not asked at once again.
    this.#dueAt = now + (young ? LOOK_MS : EVERY_MS);
    if (measurement !== null) this.#note(measurement);
  }

  #note(measurement: Measurement): void {
    const { time, cpuMs, memoryBytes } = measurement;
    this.#measurement = measurement;
    this.#measureTime = time;
    this.#cpuMs = cpuMs ?? this.#cpuMs;
    if (memoryBytes !== null) this.#peak = Math.max(this.#peak ?? 0, memoryBytes);
  }
}

const NOTHING_MEASURED: AttemptUsage = {
  wallMs: null,
  cpuMs: null,
  peakMemoryBytes: null,
  measureTime: null,
  pulledBytes: null,
};

/** What an attempt that ran has used in all, from what was last measured (null = nothing) and how it ended. Pure. */
export function usageAtEnd(
  measured: AttemptUsage | null,
  ended: Ended,
  { memoryBytes }: Pick<JobSpec, 'memoryBytes'>,
): AttemptUsage {
  const known = measured ?? NOTHING_MEASURED;
  if (ended.state === 'missing') return { ...known, wallMs: null };
  const ranMs = ended.endTime - ended.startTime;
  return {
    ...known,
    // An end that the engine does not know is told as the start; a clock that was set back makes it earlier.
    wallMs: ranMs > 0 ? ranMs : null,
    // Whoever was killed for it had all of it.
    peakMemoryBytes: ended.exit.oomKilled ? memoryBytes : known.peakMemoryBytes,
  };
}
