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

  /** Its container has just been started by this process. */
  begin(name: string, timeoutMs: number): void {
    this.#alarmOf(name).count(timeoutMs);
  }

  /** This process leads it from now on, or does again. `deadline` in epoch ms, as stored with the start. */
  adopt(name: string, deadline: number, timeoutMs: number): void {
    this.#alarmOf(name).countTo(deadline, timeoutMs);
  }

  /** `onOver` takes the place of what was given before: who leads the attempt now is to hear of it. */
  of(name: string, onOver: () => void): TimeoutAlarm {
    const alarm = this.#alarmOf(name);
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

  #alarmOf(name: string): TimeoutAlarm {
    const alarm = this.#alarms.get(name) ?? new TimeoutAlarm(this.#clock);
    this.#alarms.set(name, alarm);
    return alarm;
  }
}

/**
 * When an attempt that runs has had its timeout. Counted by timers from its start, or from when this process took it
 * over: the time of day may be set meanwhile, forward or back, and a machine that slept had its containers sleep too (but
 * for those of an engine elsewhere, which have that much longer). Only a process that takes an attempt over has nothing but
 * the time of day to go by, and never gives more than the whole timeout.
 */
class TimeoutAlarm {
  readonly #clock: Clock;
  onOver: () => void = () => undefined;
  #leftMs: number | undefined;
  #cancel = (): void => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `deadline` in epoch ms, as stored with the start: it counts where nothing is counted yet. */
  isOver(deadline: number, timeoutMs: number): boolean {
    this.countTo(deadline, timeoutMs);
    return (this.#leftMs ?? 0) <= 0;
  }

  countTo(deadline: number, timeoutMs: number): void {
    if (this.#leftMs === undefined) this.count(Math.min(timeoutMs, deadline - this.#clock.now()));
  }

  count(leftMs: number): void {
    this.#cancel();
    this.#leftMs = leftMs;
    if (leftMs <= 0) return;
    const step = Math.min(leftMs, LONGEST_MS);
    this.#cancel = this.#clock.setTimer(step, () => {
      this.count(leftMs - step);
      if (leftMs <= step) this.onOver();
    });
  }

  cancel(): void {
    this.#cancel();
  }
}
