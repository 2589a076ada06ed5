import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { duration, size } from '../../src/lib/unit-fields.ts';

/** The value, or what is wrong. */
function read(field: z.ZodType, input: unknown): unknown {
  const { data, error } = field.safeParse(input, { reportInput: true });
  return error === undefined ? data : error.issues.map(({ message }) => message);
}

describe('a duration', () => {
  const field = duration({ min: 1000, max: 60_000 });
  it.each<[unknown, unknown]>([
    ['1s', 1000],
    ['1m', 60_000],
    ['999ms', ['must be between 1s and 1m, not 999ms']],
    ['61s', ['must be between 1s and 1m, not 61s']],
    ['0s', ['must be between 1s and 1m, not 0s']],
    ['soon', [expect.stringContaining('"soon" is not a duration')]],
    [5, ['must have a unit: write "5s"']],
  ])('of %j', (input, outcome) => {
    expect(read(field, input)).toEqual(outcome);
  });

  it('may be off', () => {
    const off = duration({ min: 1000, max: 60_000, zeroIsOff: true });
    expect(['0s', '0ms', '1s', '1m'].map((text) => read(off, text))).toEqual([0, 0, 1000, 60_000]);
    expect(read(off, '10ms')).toEqual(['must be 0s (off) or between 1s and 1m, not 10ms']);
  });
});

describe('a size', () => {
  const field = size({ min: 1024, max: 1024 ** 2 });
  it.each<[unknown, unknown]>([
    ['1Ki', 1024],
    [2048, 2048],
    ['2Mi', ['must be between 1Ki and 1Mi, not 2Mi']],
    [1, ['must be between 1Ki and 1Mi, not 1']],
    ['5x', [expect.stringContaining('unknown unit')]],
  ])('of %j', (input, outcome) => {
    expect(read(field, input)).toEqual(outcome);
  });
});
