import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration } from '../../src/lib/duration.ts';

describe('parseDuration', () => {
  it.each([
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['500ms', 500],
    ['30d', 2_592_000_000],
    ['1.5h', 5_400_000],
    ['1m500ms', 60_500],
    ['0s', 0],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '90', '-3s', '1M', 'abc', '1h 30m', '30m1h', '1h1h', '1hh', 'PT5M', '1e3s'])(
    'refuses "%s"',
    (text) => {
      expect(() => parseDuration(text)).toThrow(RangeError);
    },
  );

  it('says which unit a bare number lacks', () => {
    expect(() => parseDuration('90')).toThrow('write 90s for seconds or 90m for minutes');
  });

  it('refuses what is beyond whole milliseconds', () => {
    expect(() => parseDuration('999999999999d')).toThrow('too long');
  });
});

describe('formatDuration', () => {
  it('is read back as the same', () => {
    fc.assert(fc.property(fc.nat({ max: 2 ** 50 }), (ms) => parseDuration(formatDuration(ms)) === ms));
  });

  it.each([
    [0, '0s'],
    [600_000, '10m'],
    [90_500, '1m30s500ms'],
  ])('writes %d as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it('refuses what is no time', () => {
    expect(() => formatDuration(-1)).toThrow(RangeError);
    expect(() => formatDuration(1.5)).toThrow(RangeError);
  });
});
