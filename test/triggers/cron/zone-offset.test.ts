import { Cron } from 'croner';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextTime } from '../../../triggers/cron/schedule.ts';
import { offsetAt } from '../../../triggers/cron/zone-offset.ts';

const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
];
const number = (min: number, max: number): fc.Arbitrary<string> => fc.integer({ min, max }).map(String);
const field = (min: number, max: number): fc.Arbitrary<string> =>
  fc.oneof(fc.constant('*'), number(min, max), fc.constant('*/7'));
const crons = fc
  .tuple(
    field(0, 59),
    field(0, 23),
    field(1, 28),
    fc.constantFrom('*', '3', '10,11'),
    fc.constantFrom('*', '0', '1-5'),
  )
  .map((fields) => fields.join(' '));
/** Two years, every change of the clocks in them, and the hours around those more often than their share. */
const CHANGES = ['2026-03-08', '2026-03-29', '2026-04-05', '2026-10-04', '2026-10-25', '2026-11-01'].map(
  Date.parse,
);
const times = fc.oneof(
  fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 11, 31) }),
  fc
    .tuple(fc.constantFrom(...CHANGES), fc.integer({ min: -172_800_000, max: 172_800_000 }))
    .map(([at, by]) => at + by),
);

describe('the short cut by offset', () => {
  it('gives the slot that the zone gives, near changes of the clocks too', () => {
    fc.assert(
      fc.property(crons, fc.constantFrom(...ZONES), times, (cron, zone, after) => {
        const own = new Cron(cron, { timezone: zone, paused: true }).nextRun(new Date(after));
        expect(nextTime(cron, zone, after)).toBe(own?.getTime() ?? null);
      }),
      { numRuns: 600 },
    );
  });

  it('knows offsets of half an hour and before 1970', () => {
    expect(offsetAt('Asia/Kolkata', Date.UTC(2026, 5, 1))).toBe(330);
    expect(offsetAt('America/New_York', Date.UTC(1960, 0, 1))).toBe(-300);
    expect(offsetAt('UTC', 0)).toBe(0);
  });
});
