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

  /** It does not answer any more. Returns what is to be called when it does. */
  begin(from: Moment): (to: Moment) => void {
    const outage = this.#note({ from, to: null });
    return (to) => void (outage.to = to);
  }

  /** It answers, and may have been away for a moment. */
  blink(now: Moment): void {
    const last = this.#outages.at(-1);
    if (last?.to === null) return;
    const goesOn = last !== undefined && now.elapsed - last.to.elapsed <= ENDS_BEFORE_MS;
    // What is told of in the time of day is not one piece where that was set meanwhile.
    if (goesOn && now.time >= last.to.time) last.to = now;
    else this.#note({ from: now, to: now });
  }

  /** Whether it was away, or ended and came back, around `time` (epoch ms). */
  around(time: number): boolean {
    return this.#outages.some((outage) => covers(outage, time));
  }

  #note(outage: Outage): Outage {
    this.#outages.push(outage);
    if (this.#outages.length > KEPT) this.#outages.shift();
    return outage;
  }
}

/** The time of day may have been set meanwhile: what ended before that, and what ended after, counts. */
function covers({ from, to }: Outage, time: number): boolean {
  const [first, last] = to === null ? [from.time, Infinity] : [Math.min(from.time, to.time), to.time];
  const lasted = (to?.elapsed ?? Infinity) - from.elapsed;
  return time >= first - ENDS_BEFORE_MS && time <= Math.max(last, from.time + lasted);
}
