import { describe, expect, it } from 'vitest';
import { createFilter, globProblem } from '../../triggers/files/glob.ts';

const MAX_MS = 5;
/** So many that what is measured has long been compiled. Here, where no test runs beside another. */
const TRIES = 50;
const LONG = 255;
/** Twenty globs, each with a path that a backtracking matcher takes long to refuse. */
const EVIL: readonly (readonly [glob: string, path: string])[] = [
  ['*a*a*a*b', 'a'.repeat(LONG)],
  ['*a*a*a*a*a*b', 'a'.repeat(LONG)],
  ['*-*-*-*.csv', '-'.repeat(LONG)],
  ['*_*_*.csv', '_'.repeat(LONG)],
  ['*.*.*.*.csv', `a${'.'.repeat(LONG - 1)}`],
  ['*a*a*a*a/*', `${'a'.repeat(LONG)}/.b`],
  ['*?*?*?*?*b', 'a'.repeat(LONG)],
  ['**/*_*.csv', `${'_'.repeat(250)}/`.repeat(10)],
  ['**/*_*_*_*.csv', `${'_'.repeat(250)}/`.repeat(10)],
  ['**/**/**/**/b', 'a/'.repeat(2_000)],
  ['**/*a*/**/*a*/**/b', 'a/'.repeat(2_000)],
  ['**/a/**/a/**/a/**/b', 'a/'.repeat(2_000)],
  ['{a,aa,aaa}*{a,aa,aaa}*b', 'a'.repeat(LONG)],
  ['{a,aa}*{a,aa}*{a,aa}*{a,aa}*b', 'a'.repeat(LONG)],
  ['[a-z]*[a-z]*9', 'a'.repeat(LONG)],
  ['!(*a*)b', 'a'.repeat(LONG)],
  ['+(a)+([a-z])b', 'a'.repeat(LONG)],
  ['*([ab])c', 'ab'.repeat(120)],
  ['@(a|aa|ab)*b*c', 'a'.repeat(LONG)],
  ['{a,{aa,aaa}}*b*c', 'a'.repeat(LONG)],
];

describe('a glob that is made to be slow', () => {
  it('is one of twenty', () => expect(EVIL).toHaveLength(20));

  it.each(EVIL)('%s answers within 5 ms', (pattern, given) => {
    expect(globProblem(pattern)).toBeUndefined();
    const filter = createFilter(pattern);
    // Of several tries the fastest: the machine may be busy.
    let fastest = Infinity;
    for (let i = 0; i < TRIES; i++) {
      const start = performance.now();
      expect(filter.matches(given.replace(/\/$/, ''))).toBe(false);
      fastest = Math.min(fastest, performance.now() - start);
    }
    expect(fastest).toBeLessThan(MAX_MS);
  });
});
