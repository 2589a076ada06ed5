import { describe, expect, it } from 'vitest';
import { cronProblem, zoneProblem } from '../../../triggers/cron/schedule-problems.ts';

describe('cronProblem', () => {
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
    expect(cronProblem(cron)).toBeUndefined();
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
    expect(cronProblem(cron)).toContain(message);
  });
});

describe('zoneProblem', () => {
  it.each(['UTC', 'Europe/Berlin', 'Etc/GMT+5'])('takes %s', (zone) => {
    expect(zoneProblem(zone)).toBeUndefined();
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
    expect(zoneProblem(zone)).toContain(message);
  });
});
