import type { Moment } from './session.ts';

/** An engine that ends stops its containers first, and nobody may ask it meanwhile: up to 15 s, and our own delay. */
const ENDS_BEFORE_MS = 30_000;
/** An end may be heard of only after more outages: an order that hangs keeps its attempt for a minute. */
const KEPT = 32;

interface Outage {
  readonly from: Moment;
  /** null = it lasts. */
  to: Moment | null;
}

/** When an engine was away, as far as this process saw: what ended then may have ended with it. */
export class Outages {
  /** The newest last. */
  readonly #outages: Outage[] = [];

  /** It does not answer. */
  away(now: Moment): void {
    if (this.#outages.at(-1)?.to !== null) this.#note({ from: now, to: null });
  }

  /** It answers. */
  back(now: Moment): void {
    const last = this.#outages.at(-1);
    if (last?.to === null) last.to = now;
  }

  /** It answers, and may have been away for a moment. */
  blink(now: Moment): void {
    const last = this.#outages.at(-1);
    if (last?.to === null) return;
    if (last !== undefined && now.elapsed - last.to.elapsed <= ENDS_BEFORE_MS) last.to = now;
    else this.#note({ from: now, to: now });
  }

  /** Whether it was away, or ended and came back, around `time` (epoch ms). */
  around(time: number): boolean {
    return this.#outages.some((outage) => covers(outage, time));
  }

  #note(outage: Outage): void {
    this.#outages.push(outage);
    if (this.#outages.length > KEPT) this.#outages.shift();
  }
}

/** The time of day may have been set meanwhile: what is meant may be in the one before that or in the one after. */
function covers({ from, to }: Outage, time: number): boolean {
  if (to === null) return time >= from.time - ENDS_BEFORE_MS;
  const lasted = to.elapsed - from.elapsed;
  const within = (end: number): boolean => time >= end - lasted - ENDS_BEFORE_MS && time <= end;
  return within(from.time + lasted) || within(to.time);
}
