import { describe, expect, it } from 'vitest';
import { nextTime } from '../../../triggers/cron/schedule.ts';

const at = (text: string): number => Date.parse(text);
const next = (cron: string, zone: string, after: string): string | undefined => {
  const time = nextTime(cron, zone, at(after));
  return time === null ? undefined : new Date(time).toISOString();
};

describe('nextTime', () => {
  it('is strictly after, to the millisecond', () => {
    expect(next('0 * * * *', 'UTC', '2026-01-01T00:59:59.999Z')).toBe('2026-01-01T01:00:00.000Z');
    expect(next('0 * * * *', 'UTC', '2026-01-01T01:00:00.000Z')).toBe('2026-01-01T02:00:00.000Z');
    expect(next('*/10 * * * * *', 'UTC', '2026-01-01T00:00:01Z')).toBe('2026-01-01T00:00:10.000Z');
  });

  it('knows what clocks do in spring and autumn', () => {
    expect(next('30 2 * * *', 'America/New_York', '2026-03-08T05:00:00Z')).toBe('2026-03-08T07:00:00.000Z');
    expect(next('30 1 * * *', 'America/New_York', '2026-11-01T04:00:00Z')).toBe('2026-11-01T05:30:00.000Z');
    expect(next('30 1 * * *', 'America/New_York', '2026-11-01T05:30:00Z')).toBe('2026-11-02T06:30:00.000Z');
  });

  it('has a pattern go by the clock on the wall: nothing in the hour left out, twice in the hour that comes twice', () => {
    const zone = 'Europe/Berlin';
    expect(next('30 2 * * *', zone, '2026-03-28T23:30:00Z')).toBe('2026-03-29T01:00:00.000Z');
    for (const cron of ['*/15 2 * * *', '0,30 2 * * *', '0-30 2 * * *'])
      expect(next(cron, zone, '2026-03-28T23:30:00Z')).toBe('2026-03-30T00:00:00.000Z');
    expect(next('30 2 * * *', zone, '2026-10-25T00:30:00Z')).toBe('2026-10-26T01:30:00.000Z');
    expect(next('30,45 2 * * *', zone, '2026-10-25T00:45:00Z')).toBe('2026-10-25T01:30:00.000Z');
  });

  it('gives the same whether a schedule was kept or made anew', () => {
    // With a name croner compiles it; in numbers it is ours.
    for (const monday of ['MON', '1']) {
      const ask = () =>
        Array.from({ length: 200 }, (_, i) =>
          next(`${i % 60} ${Math.floor(i / 60)} * * ${monday}`, 'UTC', '2026-01-01T00:00:00Z'),
        );
      const first = ask();
      expect(first[61]).toBe('2026-01-05T01:01:00.000Z');
      expect(new Set(first).size).toBe(200);
      expect(ask()).toEqual(first);
    }
  });

  it('is null where nothing comes', () => {
    expect(nextTime('0 0 31 2 *', 'UTC', at('2026-01-01T00:00:00Z'))).toBeNull();
  });
});
