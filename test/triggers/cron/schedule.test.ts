import { describe, expect, it } from 'vitest';
import { nextTime, parseSchedule } from '../../../triggers/cron/schedule.ts';

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
    const ask = () =>
      Array.from({ length: 200 }, (_, i) =>
        next(`${i % 60} ${Math.floor(i / 60)} * * *`, 'UTC', '2026-01-01T00:00:00Z'),
      );
    expect(ask()).toEqual(ask());
  });

  it('is null where nothing comes', () => {
    expect(nextTime('0 0 31 2 *', 'UTC', at('2026-01-01T00:00:00Z'))).toBeNull();
  });
});

describe('parseSchedule', () => {
  it.each([
    '* * * * *',
    '*/10 * * * * *',
    '0 2 * * MON-FRI',
    '0 0 L * *',
    '0 0 29 2 *',
    '@daily',
    '0 0 1,15 * ?',
    ' 0 0 * * 7 ',
  ])('takes %s', (cron) => {
    expect(parseSchedule(cron, 'Europe/Berlin')).toEqual({ ok: true });
  });

  it.each([
    ['61 * * * *', '"61": minutes run from 0 to 59'],
    ['60 0 0 * * *', '"60": seconds run from 0 to 59'],
    ['0 0 * 13 *', 'months run from 1 to 12'],
    ['0 0 * * 8', 'days of the week run from 0 to 7'],
    ['@every 5m', 'there is no @every: */5 * * * *'],
    ['@reboot', 'there is no @reboot'],
    ['@dayly', 'unknown short form: there is @yearly'],
    ['H * * * *', `"H" is Jenkins' own`],
    ['5/15 * * * *', 'write 5-59/15'],
    ['22-4 * * * *', 'write 22-59,0-4'],
    ['0 0 1 1 * 2027', 'there is no field for years (2027)'],
    ['* * * *', 'there are 4 fields'],
    ['', 'there are 0 fields'],
    ['2026-01-01T00:00:00', 'there is 1 field'],
    ['1,,2 * * * *', 'a comma too many'],
    ['*/0 * * * *', '"/0" is no step'],
    ['TZ=UTC * * * * *', 'the time zone belongs into "zone"'],
    ['0 0 31 2 *', 'never fires: no month has such a day'],
    ['0 0 * FOO *', 'illegal characters'],
    ['* * * * * * *', 'there are 7 fields'],
  ])('refuses "%s": %s', (cron, message) => {
    expect(parseSchedule(cron, 'UTC')).toMatchObject({
      ok: false,
      field: 'cron',
      message: expect.stringContaining(message),
    });
  });

  it.each([
    ['Europe/Berln', 'did you mean "Europe/Berlin"?'],
    ['Berlin', 'did you mean "Europe/Berlin"?'],
    ['new york', 'did you mean "America/New_York"?'],
    ['+02:00', 'Etc/GMT-2'],
    ['UTC-5', 'Etc/GMT+5'],
    ['', 'use an IANA name'],
    ['Nowhere/Atall', 'there is no time zone'],
  ])('refuses the zone "%s": %s', (zone, message) => {
    expect(parseSchedule('0 0 * * *', zone)).toMatchObject({
      ok: false,
      field: 'zone',
      message: expect.stringContaining(message),
    });
  });
});
