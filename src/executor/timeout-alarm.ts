import type { Clock } from '../core/clock.ts';

/** Timers count in 31 bits of ms. */
const LONGEST_MS = 24 * 3_600_000;

/**
 * The alarms of what runs, by container. They outlive a session: one that ends because the time of day was set forward
 * is followed by another of the same process.
 */
export class TimeoutAlarms {
  readonly #clock: Clock;
  readonly #alarms = new Map<string, TimeoutAlarm>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(name: string, onOver: () => void): TimeoutAlarm {
    const alarm = this.#alarms.get(name) ?? new TimeoutAlarm(this.#clock);
    this.#alarms.set(name, alarm);
    alarm.onOver = onOver;
    return alarm;
  }

  /** All others have ended, here or elsewhere. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#alarms.keys()) if (!names.has(name)) this.end(name);
  }

  end(name: string): void {
    this.#alarms.get(name)?.cancel();
    this.#alarms.delete(name);
  }
}

/**
 * When an attempt that runs has had its timeout. Counted by timers from when it is first asked: the time of day may be
 * set meanwhile, forward or back, and a machine that slept had its containers sleep too. Only a process that takes an
 * attempt over from another has nothing but the time of day to go by, and never gives more than the whole timeout.
 */
class TimeoutAlarm {
  readonly #clock: Clock;
  onOver: () => void = () => undefined;
  #leftMs: number | undefined;
  #cancel = (): void => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `deadline` in epoch ms, as stored with the start. */
  isOver(deadline: number, timeoutMs: number): boolean {
    if (this.#leftMs === undefined) this.#count(Math.min(timeoutMs, deadline - this.#clock.now()));
    return (this.#leftMs ?? 0) <= 0;
  }

  cancel(): void {
    this.#cancel();
  }

  #count(leftMs: number): void {
    this.#leftMs = leftMs;
    if (leftMs <= 0) return;
    const step = Math.min(leftMs, LONGEST_MS);
    this.#cancel = this.#clock.setTimer(step, () => {
      this.#count(leftMs - step);
      if (leftMs <= step) this.onOver();
    });
  }
}
