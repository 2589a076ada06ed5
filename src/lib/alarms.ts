/** The two calls of a clock that alarms need. */
interface AlarmClock {
  now(): number;
  setTimer(ms: number, fn: () => void): () => void;
}

export interface HeapAlarmsOptions {
  /** A callback threw; the others are called all the same. Default: the error is dropped. */
  readonly onError?: (error: unknown) => void;
  /** The clock was found more than a second behind where it had been; `ms` is how far, at least. */
  readonly onSetBack?: (ms: number) => void;
}

interface Alarm {
  readonly time: number;
  /** Order of making: alarms of one instant ring in it. */
  readonly seq: number;
  readonly fn: () => void;
  /** Place in the heap; -1 = rung or cancelled. */
  index: number;
}

/**
 * A timer measures elapsed time, an alarm waits for a time of day. Nothing tells a process that its clock was set,
 * so the one timer looks at least this often.
 */
const LOOK_MS = 30_000;
/** Clocks are slewed by less than this all the time; only more than it is a step backwards. */
const SET_BACK_MS = 1_000;

/**
 * Any number of alarms over one timer: a binary heap by time. `at` and its cancel cost O(log n). All alarms that
 * are due ring in one turn; an alarm set from a callback rings in a later turn, even if it is due already.
 */
export class HeapAlarms {
  readonly #clock: AlarmClock;
  readonly #options: HeapAlarmsOptions;
  readonly #heap: Alarm[] = [];
  #seq = 0;
  #cancelTimer: (() => void) | undefined;
  /** When the timer is to ring, by the clock as it was when it was set. */
  #timerAt = Infinity;
  #lastSeen: number;

  constructor(clock: AlarmClock, options: HeapAlarmsOptions = {}) {
    this.#clock = clock;
    this.#options = options;
    this.#lastSeen = clock.now();
  }

  /** Calls `fn` once when the clock has reached `time` (epoch ms), never before; returns a function that cancels it. */
  at(time: number, fn: () => void): () => void {
    if (Number.isNaN(time)) throw new TypeError('an alarm needs a time');
    const alarm: Alarm = { time, seq: this.#seq++, fn, index: this.#heap.length };
    this.#heap.push(alarm);
    this.#up(alarm);
    this.#arm();
    return () => this.#remove(alarm);
  }

  /** Alarms that are set. */
  get size(): number {
    return this.#heap.length;
  }

  /** Cancels everything. New alarms may be set afterwards. */
  clear(): void {
    for (const alarm of this.#heap) alarm.index = -1;
    this.#heap.length = 0;
    this.#arm();
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined) return this.#stopTimer();
    const now = this.#clock.now();
    // An alarm later than the timer needs nothing: the timer looks again when it rings.
    if (this.#cancelTimer !== undefined && this.#timerAt <= first.time && this.#timerAt >= now) return;
    this.#stopTimer();
    const wait = Math.min(Math.max(first.time - now, 0), LOOK_MS);
    this.#timerAt = now + wait;
    this.#cancelTimer = this.#clock.setTimer(wait, () => {
      this.#cancelTimer = undefined;
      this.#ring();
    });
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#timerAt = Infinity;
  }

  #ring(): void {
    const now = this.#clock.now();
    const back = this.#lastSeen - now;
    this.#lastSeen = now;
    if (back > SET_BACK_MS) this.#call(() => this.#options.onSetBack?.(back));
    for (const alarm of this.#takeDue(now)) {
      // Cancelled by a callback that rang before it in this same turn.
      if (alarm.index === RINGING) {
        alarm.index = -1;
        this.#call(alarm.fn);
      }
    }
    this.#arm();
  }

  #takeDue(now: number): Alarm[] {
    const due: Alarm[] = [];
    for (let first = this.#heap[0]; first !== undefined && first.time <= now; first = this.#heap[0]) {
      this.#remove(first);
      first.index = RINGING;
      due.push(first);
    }
    return due;
  }

  #call(fn: () => void): void {
    try {
      fn();
    } catch (error) {
      this.#options.onError?.(error);
    }
  }

  #remove(alarm: Alarm): void {
    const { index } = alarm;
    alarm.index = -1;
    if (index < 0) return;
    const last = this.#heap.pop();
    if (last === undefined || last === alarm) return;
    last.index = index;
    this.#heap[index] = last;
    this.#up(last);
    this.#down(last);
  }

  #up(alarm: Alarm): void {
    while (alarm.index > 0) {
      const parent = this.#heap[(alarm.index - 1) >> 1];
      if (parent === undefined || !before(alarm, parent)) return;
      this.#swap(alarm, parent);
    }
  }

  #down(alarm: Alarm): void {
    for (;;) {
      const left = this.#heap[2 * alarm.index + 1];
      const right = this.#heap[2 * alarm.index + 2];
      const child = right !== undefined && left !== undefined && before(right, left) ? right : left;
      if (child === undefined || !before(child, alarm)) return;
      this.#swap(child, alarm);
    }
  }

  #swap(a: Alarm, b: Alarm): void {
    const { index } = a;
    a.index = b.index;
    b.index = index;
    this.#heap[a.index] = a;
    this.#heap[b.index] = b;
  }
}

/** Taken out of the heap, about to be called. */
const RINGING = -2;

function before(a: Alarm, b: Alarm): boolean {
  return a.time < b.time || (a.time === b.time && a.seq < b.seq);
}
