import { existsSync, readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { GROUPS } from '../../scripts/lib/mutation-groups.mjs';
import { GOAL, score } from '../../scripts/lib/mutation-score.mjs';

const root = new URL('../../', import.meta.url);

const of = (fileName: string, ...statuses: string[]) => statuses.map((status) => ({ fileName, status }));
const times = (count: number, status: string): string[] => Array<string>(count).fill(status);

it('counts by module, the worst first, and all of them last', () => {
  const mutants = [
    ...of('src/auth/jws.ts', 'Killed', 'Killed', 'Timeout', 'Survived'),
    ...of('src/auth/claims.ts', 'Killed', 'NoCoverage'),
  ];
  expect(score(mutants)).toEqual({
    lines: [
      'claims.ts                 1 killed of 2, 50.0 %',
      'jws.ts                    3 killed of 4, 75.0 %',
    ],
    last: 'mutation: 4 killed of 6, 66.6 %, goal 85 %',
    bad: true,
  });
});

it('what is taken out in the source does not count, and is told', () => {
  const { lines, last, bad } = score(of('a.ts', 'Killed', 'Ignored', 'Ignored', 'CompileError'));
  expect(lines.at(-1)).toBe('2 taken out in the source, with a reason');
  expect([last, bad]).toEqual(['mutation: 1 killed of 1, 100.0 %, goal 85 %', false]);
});

it('the goal is reached at the goal, not just below it', () => {
  const at = (killed: number) =>
    score(of('a.ts', ...times(killed, 'Killed'), ...times(10_000 - killed, 'Survived')));
  expect(at(GOAL * 100).bad).toBe(false);
  expect(at(GOAL * 100 - 1)).toMatchObject({ bad: true, last: expect.stringContaining('84.9 %') });
});

it('nothing tried is nothing shown', () => {
  expect(score([])).toMatchObject({ bad: true, last: 'mutation: 0 killed of 0, 0.0 %, goal 85 %' });
});

it('every module of src/auth is judged, once, by tests that are there', () => {
  const judged = GROUPS.flatMap(({ modules }) => modules.map((name) => `${name}.ts`));
  expect(judged.toSorted()).toEqual(readdirSync(new URL('src/auth', root)).toSorted());
  const tests = GROUPS.flatMap((group) => group.tests);
  expect(tests.filter((name) => !existsSync(new URL(`test/auth/${name}.test.ts`, root)))).toEqual([]);
});
