import { Cron } from 'croner';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextPlain, plainSchedule } from '../../../triggers/cron/plain-schedule.ts';

function part(min: number, max: number): fc.Arbitrary<string> {
  const value = fc.integer({ min, max });
  const step = fc.integer({ min: 1, max: max + 3 });
  const range = fc.tuple(value, value).map((ends) => [...ends].sort((a, b) => a - b).join('-'));
  return fc.oneof(
    fc.constant('*'),
    value.map(String),
    range,
    step.map((by) => `*/${by}`),
    fc.tuple(range, step).map(([text, by]) => `${text}/${by}`),
    // What croner may or may not take: the same must hold here.
    fc.constantFrom('', '?', 'L', '5/15', '9-3', '*-5', '99', '*/0', '1-2-3', '07', 'MON', '1#2'),
  );
}
const field = (min: number, max: number): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant('*') },
    { weight: 3, arbitrary: part(min, max) },
    {
      weight: 1,
      arbitrary: fc.array(part(min, max), { minLength: 2, maxLength: 3 }).map((parts) => parts.join(',')),
    },
  );
const five = [field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)] as const;
const crons = fc.oneof(fc.tuple(...five), fc.tuple(field(0, 59), ...five)).map((fields) => fields.join(' '));
const times = fc.integer({ min: Date.UTC(1960, 0, 1), max: Date.UTC(2120, 0, 1) });

describe('a plain schedule', () => {
  it('has the slots that croner finds, and is none where croner refuses the text', () => {
    let plain = 0;
    fc.assert(
      fc.property(crons, times, (cron, after) => {
        const schedule = plainSchedule(cron);
        if (schedule === undefined) return;
        plain++;
        const theirs = new Cron(cron, { utcOffset: 0, paused: true }).nextRun(new Date(after));
        expect([cron, nextPlain(schedule, after)]).toEqual([cron, theirs?.getTime() ?? null]);
      }),
      { numRuns: 3000 },
    );
    // Else this would prove nothing.
    expect(plain).toBeGreaterThan(500);
  });

  it.each([
    '0 2 * * *',
    '*/10 * * * * *',
    '0 0 1,15 * *',
    '30 4 1-7 * 1',
    '0 0 * * 5-7',
    '5 4 */3 1-12/2 0,6',
  ])('%s is one', (cron) => {
    expect(plainSchedule(cron)).toBeDefined();
  });

  it.each([
    '@daily',
    '0 0 L * *',
    '0 0 * * MON',
    '0 0 ? * *',
    '5/15 * * * *',
    '* * * *',
    '* * * * * * *',
    '',
  ])('"%s" is none', (cron) => {
    expect(plainSchedule(cron)).toBeUndefined();
  });

  it('waits eight years for a 29 February, and for ever for a 30', () => {
    const next = (cron: string): number | null => {
      const schedule = plainSchedule(cron);
      return schedule === undefined ? NaN : nextPlain(schedule, Date.UTC(2096, 1, 29));
    };
    expect(next('0 0 29 2 *')).toBe(Date.UTC(2104, 1, 29));
    expect(next('0 0 30 2 *')).toBeNull();
  });
});
