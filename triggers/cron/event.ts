import type { NewEvent } from '../../src/core/event.ts';
import type { Json } from '../../src/core/json.ts';
import { formatDuration } from '../../src/lib/duration.ts';

/** A slot that is found later than this starts nothing any more. */
export const LATE_MS = 60 * 60_000;
/** Missed slots are counted one by one, up to here: each costs some 0.1 ms, and thousands of schedules start at once. */
export const MISSED_MAX = 100;
export const DUE_TYPE = 'dev.tappet.cron.v1.due';

/** A due slot and those before it that were passed over. Times are epoch ms. */
export interface DueSlot {
  readonly slot: number;
  /** When it was found to be due. */
  readonly now: number;
  /** Earlier slots that got no event of their own; MISSED_MAX + 1 = more than MISSED_MAX. */
  readonly missed: number;
  readonly missedSince: number | null;
}

/** `2026-01-31T02:00:00Z`: slots are whole seconds. */
export function instant(time: number): string {
  return new Date(time).toISOString().replace('.000Z', 'Z');
}

/** The event of a due slot: its id is the scheduled instant, so that no restart and no jump of the clock makes a second. */
export function dueEvent(trigger: { name: string; cron: string; zone: string }, due: DueSlot): NewEvent {
  const late = Math.max(0, due.now - due.slot);
  const scheduledTime = instant(due.slot);
  return {
    event: {
      specversion: '1.0',
      id: scheduledTime,
      source: `/triggers/${trigger.name}`,
      type: DUE_TYPE,
      time: scheduledTime,
      datacontenttype: 'application/json',
      data: {
        scheduledTime,
        zone: trigger.zone,
        cron: trigger.cron,
        lateSeconds: Math.floor(late / 1000),
        missed: due.missed,
        missedSince: due.missedSince === null ? null : instant(due.missedSince),
      },
    },
    ...(late > LATE_MS ? { verdict: { outcome: 'late', reason: lateReason(due, late) } as const } : {}),
  };
}

/** A slot that a person made: as if it were due now. */
export function manualData(
  trigger: { cron: string; zone: string },
  time: number,
  data: Json | undefined,
): Json {
  const slot = {
    scheduledTime: instant(time),
    zone: trigger.zone,
    cron: trigger.cron,
    lateSeconds: 0,
    missed: 0,
    missedSince: null,
  };
  if (data === undefined) return slot;
  return typeof data === 'object' && data !== null && !Array.isArray(data) ? { ...slot, ...data } : data;
}

function lateReason(due: DueSlot, late: number): string {
  const age = formatDuration(Math.floor(late / 1000) * 1000);
  const reason = `due at ${instant(due.slot)}, found ${age} later, which is more than ${formatDuration(LATE_MS)}`;
  if (due.missedSince === null) return reason;
  const count = due.missed > MISSED_MAX ? `more than ${MISSED_MAX}` : `${due.missed}`;
  const slots = due.missed === 1 ? 'slot was' : 'slots were';
  return `${reason}; before it, ${count} ${slots} missed since ${instant(due.missedSince)}`;
}
