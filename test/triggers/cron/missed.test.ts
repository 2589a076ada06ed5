import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MISSED_MAX } from '../../../triggers/cron/event.ts';
import { dueSlot } from '../../../triggers/cron/missed.ts';
import { nextTime } from '../../../triggers/cron/schedule.ts';

const T0 = Date.parse('2026-01-01T00:00:00Z');
const MINUTE = 60_000;

describe('dueSlot', () => {
  it('agrees with a walk over every slot', () => {
    const crons = fc.constantFrom(
      '* * * * *',
      '*/7 * * * *',
      '0 */5 9-11 * * *',
      '30 2 * * *',
      '15 10 * * 1',
      '*/20 * * * * *',
    );
    const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York');
    // Around a change of the clocks in both zones, too.
    const starts = fc.constantFrom(
      T0,
      Date.parse('2026-03-07T20:00:00Z'),
      Date.parse('2026-10-24T20:00:00Z'),
    );
    fc.assert(
      fc.property(
        crons,
        zones,
        starts,
        fc.nat(MINUTE),
        fc.nat(3 * 60 * MINUTE),
        (cron, zone, base, offset, span) => {
          const cursor = base + offset;
          const now = cursor + span;
          const slots: number[] = [];
          for (let at = nextTime(cron, zone, cursor); at !== null && at <= now; at = nextTime(cron, zone, at))
            slots.push(at);
          const missed = Math.min(slots.length - 1, MISSED_MAX + 1);
          const wanted =
            slots.length === 0
              ? undefined
              : { slot: slots.at(-1), now, missed, missedSince: missed > 0 ? slots[0] : null };
          expect(dueSlot(cron, zone, cursor, now)).toEqual(wanted);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('finds the last of a year of missed seconds without walking them', () => {
    const now = T0 + 365 * 24 * 60 * MINUTE + 500;
    expect(dueSlot('* * * * * *', 'UTC', T0, now)).toEqual({
      slot: now - 500,
      now,
      missed: MISSED_MAX + 1,
      missedSince: T0 + 1000,
    });
  });
});
