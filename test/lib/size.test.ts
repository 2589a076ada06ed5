import { describe, expect, it } from 'vitest';
import { parseSize } from '../../src/lib/size.ts';

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
