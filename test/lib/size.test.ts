import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatSize, parseSize } from '../../src/lib/size.ts';

describe('parseSize', () => {
  it.each([
    ['512Mi', 512 * 1024 * 1024],
    ['1Gi', 1024 ** 3],
    ['1.5Ki', 1536],
    ['500M', 500_000_000],
    ['3k', 3000],
    ['1048576', 1_048_576],
  ])('reads %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(['', '-1', 'Mi', '1 Mi', '1e3', '99999999999Ti', 'constructor'])('refuses "%s"', (text) => {
    expect(() => parseSize(text)).toThrow(RangeError);
  });

  it.each([
    ['512MB', 'write 512Mi (powers of 1024) or 512M'],
    ['512m', 'write 512Mi'],
    ['1KB', 'write 1Ki (powers of 1024) or 1k'],
    ['5x', 'use Ki, Mi, Gi'],
  ])('says what to write for %s', (text, hint) => {
    expect(() => parseSize(text)).toThrow(hint);
  });
});

describe('formatSize', () => {
  it('is read back as the same', () => {
    fc.assert(fc.property(fc.nat({ max: 2 ** 50 }), (bytes) => parseSize(formatSize(bytes)) === bytes));
  });

  it.each([
    [0, '0'],
    [1000, '1000'],
    [1536, '1536'],
    [512 * 1024 * 1024, '512Mi'],
    [1024 ** 4, '1Ti'],
  ])('writes %d as %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });
});
