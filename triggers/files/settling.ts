import type { Clock } from '../../src/core/clock.ts';
import type { FileStat } from './event.ts';
import { printOf } from './ledger.ts';

/** Files found together: one timer for all of them. */
interface Cohort {
  readonly paths: string[];
}
interface Waiting {
  readonly print: string;
  readonly cohort: Cohort;
}

/**
 * The files that are not in the ledger as they are, in memory only: each waits for a second look after `settleMs`,
 * and one that has changed until then waits again. Time is measured by timers, never by the time of day: a clock that
 * is set must neither cut the wait short nor draw it out.
 */
export class Settling {
  readonly #clock: Clock;
  readonly #settleMs: number;
  readonly #due: (path: string) => void;
  readonly #waiting = new Map<string, Waiting>();
  readonly #timers = new Set<() => void>();
  #cohort: Cohort = { paths: [] };

  /** `due` is called for each file that has waited long enough. */
  constructor(clock: Clock, settleMs: number, due: (path: string) => void) {
    this.#clock = clock;
    this.#settleMs = settleMs;
    this.#due = due;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** As it is now; where it is as it was, its wait goes on. */
  see(path: string, stat: FileStat): void {
    const print = printOf(stat);
    if (this.#waiting.get(path)?.print === print) return;
    this.#waiting.set(path, { print, cohort: this.#cohort });
    this.#cohort.paths.push(path);
  }

  /** Whether it is as it was at the first look. */
  isUnchanged(path: string, stat: FileStat): boolean {
    return this.#waiting.get(path)?.print === printOf(stat);
  }

  drop(path: string): void {
    this.#waiting.delete(path);
  }

  prints(): Set<string> {
    return new Set([...this.#waiting.values()].map(({ print }) => print));
  }

  /** Begins the wait of all that were seen since the last call. */
  begin(): void {
    const cohort = this.#cohort;
    if (cohort.paths.length === 0) return;
    this.#cohort = { paths: [] };
    if (this.#settleMs === 0) return this.#end(cohort);
    const cancel = this.#clock.setTimer(this.#settleMs, () => {
      this.#timers.delete(cancel);
      this.#end(cohort);
    });
    this.#timers.add(cancel);
  }

  clear(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    this.#waiting.clear();
    this.#cohort = { paths: [] };
  }

  #end(cohort: Cohort): void {
    for (const path of cohort.paths) {
      // Seen again as another since, it waits with a later cohort.
      if (this.#waiting.get(path)?.cohort === cohort) this.#due(path);
    }
  }
}
