import { describe, expect, it } from 'vitest';
import { nearest, suggest } from '../../src/lib/nearest.ts';

describe('nearest', () => {
  it.each([
    ['tiemout', 'timeout'],
    ['prot', 'port'],
    ['low', 'lowerAscii'],
    ['xyz', undefined],
    ['', undefined],
  ])('%s → %s', (word, expected) => {
    expect(nearest(word, ['timeout', 'port', 'lowerAscii'])).toBe(expected);
  });
});

describe('suggest', () => {
  it('lists what there is where nothing is close', () => {
    expect(suggest('xyz', ['aaaa', 'bbbb'])).toBe('there is: aaaa, bbbb');
    expect(suggest('xyz', [])).toBe('there are none');
    expect(suggest('aaab', ['aaaa'])).toBe('did you mean "aaaa"?');
  });
});
