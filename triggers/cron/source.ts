import type { SourceSpec } from '../../src/core/config.ts';
import type { ManualEvent, Source, SourceContext } from '../../src/core/source.ts';
import type { StateRow } from '../../src/core/store.ts';
import type { Json } from '../../src/core/json.ts';
import { DUE_TYPE, LATE_MS, dueEvent, manualData } from './event.ts';
import type { DueSlot } from './event.ts';
import { dueSlot } from './missed.ts';
import { nextTime } from './schedule.ts';

const CURSOR = 'cursor';
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;

/** The state row: the last slot that was accepted or passed over, and the schedule that this was said of. */
interface Cursor {
  readonly slot: number;
  readonly cron: string;
  readonly zone: string;
}

export function createCronSource(params: {
  name: string;
  spec: Extract<SourceSpec, { kind: 'cron' }>;
}): Source {
  return new CronSource(params.name, params.spec.cron, params.spec.zone);
}

/**
 * Accepts one event per due slot. The cursor row is the only memory: it moves in the transaction that accepts the
 * slot's event, and is read again before every slot, so that a crash repeats a step and a second gateway on the
 * same store meets `conflict`. There may be ten thousand of these: nothing is kept but one alarm.
 */
class CronSource implements Source {
  readonly #name: string;
  readonly #cron: string;
  readonly #zone: string;
  /** Absent while stopped; a tick that finds another than it began with gives up. */
  #context: SourceContext | undefined;
  #cancel: (() => void) | undefined;
  #tick: Promise<void> | undefined;
  #pause = 0;
  /**
   * When the step under way was first tried. A retry looks for what was due then: the store refused that slot, and
   * with a later look it would count as missed.
   */
  #triedAt: number | undefined;

  constructor(name: string, cron: string, zone: string) {
    this.#name = name;
    this.#cron = cron;
    this.#zone = zone;
  }

  async start(context: SourceContext): Promise<void> {
    this.#context = context;
    const started = this.#advance(context);
    this.#track(started.catch(() => undefined));
    await started;
  }

  async stop(): Promise<void> {
    this.#context = undefined;
    this.#disarm();
    this.#triedAt = undefined;
    this.#pause = 0;
    await this.#tick;
  }

  preview(from: number, count: number): readonly number[] {
    const times: number[] = [];
    let next = nextTime(this.#cron, this.#zone, from - 1);
    while (next !== null && times.length < count) {
      times.push(next);
      next = nextTime(this.#cron, this.#zone, next);
    }
    return times;
  }

  manual(time: number, data: Json | undefined): ManualEvent {
    const trigger = { cron: this.#cron, zone: this.#zone };
    return { type: DUE_TYPE, source: `/triggers/${this.#name}`, data: manualData(trigger, time, data) };
  }

  clockSetBack(): void {
    const context = this.#context;
    if (context === undefined) return;
    // A tick under way has its idea of the time already; its alarm is replaced right after it.
    void (this.#tick ?? Promise.resolve()).then(() => {
      if (this.#context === context && this.#tick === undefined) this.#run(context);
    });
  }

  /** Fires what is due, then sets the alarm for the next slot. Errors: whatever the store's are. */
  async #advance(context: SourceContext): Promise<void> {
    this.#disarm();
    for (;;) {
      const step = await this.#step(context);
      if (this.#context !== context) return;
      if (step.again) continue;
      const next = nextTime(this.#cron, this.#zone, step.cursor);
      if (next === null) return;
      if (next > context.clock.now()) {
        this.#cancel = context.alarms.at(next, () => this.#run(context));
        return;
      }
    }
  }

  /** One accept at most. `again`: someone else moved the cursor. Errors: the store's. */
  async #step(context: SourceContext): Promise<{ again: true } | { again: false; cursor: number }> {
    this.#triedAt ??= context.clock.now();
    const row = await context.readState(CURSOR);
    if (this.#context !== context) return { again: true };
    const now = context.clock.now();
    const cursor = this.#cursorOf(row, now);
    const upTo = Math.min(now, this.#triedAt ?? now);
    const found = cursor === undefined ? undefined : dueSlot(this.#cron, this.#zone, cursor, upTo);
    if (cursor === undefined || found !== undefined) {
      const moved = await this.#accept(context, row, found === undefined ? undefined : { ...found, now });
      this.#triedAt = undefined;
      return moved === undefined ? { again: true } : { again: false, cursor: moved };
    }
    this.#triedAt = undefined;
    return { again: false, cursor };
  }

  /** Moves the cursor to the slot, with its event, or to now, without any. Undefined = someone else moved it. */
  async #accept(
    context: SourceContext,
    row: StateRow | undefined,
    due: DueSlot | undefined,
  ): Promise<number | undefined> {
    const schedule = { cron: this.#cron, zone: this.#zone };
    const slot = due?.slot ?? context.clock.now();
    const result = await context.accept({
      events: due === undefined ? [] : [dueEvent({ name: this.#name, ...schedule }, due)],
      state: [{ key: CURSOR, expect: row?.version ?? null, value: { slot, ...schedule } }],
    });
    return result.outcome === 'conflict' ? undefined : slot;
  }

  /**
   * Where to go on from; undefined = begin at now: at the first start, when the schedule was changed, and when the
   * clock was set back so far that waiting for the cursor would look like a schedule that died. What was accepted
   * before stays once: the event's identity sees to it.
   */
  #cursorOf(row: StateRow | undefined, now: number): number | undefined {
    const cursor = row === undefined ? undefined : parseCursor(row.value);
    if (cursor === undefined || cursor.cron !== this.#cron || cursor.zone !== this.#zone) return undefined;
    return cursor.slot > now + LATE_MS ? undefined : cursor.slot;
  }

  #run(context: SourceContext): void {
    const done = this.#advance(context).then(() => {
      this.#pause = 0;
    });
    this.#track(done.catch((error: unknown) => this.#retry(context, error)));
  }

  #track(work: Promise<void>): void {
    this.#tick = work.finally(() => {
      this.#tick = undefined;
    });
  }

  #retry(context: SourceContext, error: unknown): void {
    if (this.#context !== context) return;
    this.#pause = Math.min(Math.max(this.#pause * 2, RETRY_MIN_MS), RETRY_MAX_MS);
    context.log.warn('a due slot could not be stored', {
      trigger: this.#name,
      retryInMs: this.#pause,
      error,
    });
    this.#cancel = context.clock.setTimer(this.#pause, () => this.#run(context));
  }

  #disarm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}

function parseCursor(value: Json): Cursor | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
  const { slot, cron, zone } = value;
  if (typeof slot !== 'number' || typeof cron !== 'string' || typeof zone !== 'string') return undefined;
  return { slot, cron, zone };
}
