import fc from 'fast-check';
import picomatch from 'picomatch';
import { describe, expect, it } from 'vitest';
import { plainGlob } from '../../../triggers/files/plain-glob.ts';

const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', '*', '?'), minLength: 1, maxLength: 6 });
const list = fc
  .array(fc.constantFrom('a', 'ab', '-b', '.a', 'b.a'), { minLength: 2, maxLength: 3 })
  .map((words) => `{${words.join(',')}}`);
const part = fc.oneof(
  fc.constantFrom('**', '*', '.*', '*.a', '*.*', '*@2x', 'a@'),
  text,
  fc.tuple(text, list, fc.constantFrom('', '*', 'a')).map((pieces) => pieces.join('')),
  fc.tuple(list, text).map((pieces) => pieces.join('')),
);
const glob = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const name = fc
  .string({ unit: fc.constantFrom('a', 'b', '.', '-', '@2x'), minLength: 1, maxLength: 5 })
  .filter((one) => !/^\.+$/.test(one));
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));

describe('a plain glob', () => {
  it('matches what picomatch does, dots, stars and lists included', () => {
    let plain = 0;
    const matched = { yes: 0, no: 0 };
    fc.assert(
      fc.property(glob, fc.array(path, { minLength: 5, maxLength: 5 }), (pattern, paths) => {
        const ours = plainGlob(pattern);
        if (ours === undefined) return;
        plain++;
        const theirs = picomatch(pattern, { dot: false, flags: 's' });
        for (const one of paths) {
          matched[theirs(one) ? 'yes' : 'no']++;
          expect([pattern, one, ours(one)]).toEqual([pattern, one, theirs(one)]);
        }
      }),
      { numRuns: 2_000, examples: [['*/**/**', ['a', 'a/b', 'a/b/c', '.a', 'a/.b']]] },
    );
    expect(plain).toBeGreaterThan(200);
    expect(matched.yes).toBeGreaterThan(40);
    expect(matched.no).toBeGreaterThan(40);
  });

  it.each([
    '**',
    '*.csv',
    'in/*.{mov,mp4}',
    '**/.env',
    'a b/*-*-*-*.csv',
    'ä*.txt',
    '{a,b}-{c,d}-*',
    '*_*_*@2x.png',
  ])('%s is one', (pattern) => expect(plainGlob(pattern)).toBeDefined());

  it.each([
    '[ab]*',
    '!(a)*',
    '!*.log',
    '{a,{b,c}}',
    '{1..3}',
    '{a}',
    'a}b',
    '{a,b',
    'a**b',
    '*.*',
    '\\*',
    '+(a)',
    '',
  ])('%j has more', (pattern) => expect(plainGlob(pattern)).toBeUndefined());
});
