import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  added,
  chunkOf,
  figuresIn,
  isDone,
  readState,
  roundsLeft,
  roundsToRun,
  summary,
  writeState,
} from '../../scripts/lib/chaos-plan.mjs';
import { ROWS } from '../../scripts/lib/chaos-rows.mjs';
import { tempFolder } from '../support/temp-folder.ts';

const row = (name: string, full: number, seconds: number, share = full) => ({
  name,
  point: 'R0',
  project: 'unit',
  files: ['test/none.test.ts'],
  full,
  seconds,
  share,
});
const quick = row('quick', 1000, 0.1);
const slow = row('slow', 100, 10);
const rows = [quick, slow];
const fresh = { seed: 7, rows: {} };
const ran = (code: number, output: string) => ({ code, output, ms: 2_000 });

describe('a run of the reliability tests', () => {
  it('without a limit runs what is left of each', () => {
    expect(roundsToRun(fresh, rows)).toBe(1000);
    const state = added(fresh, quick, { rounds: 400, violations: 0, ms: 40_000 });
    expect(roundsToRun(state, rows)).toBe(600);
    expect(roundsToRun(added(state, quick, { rounds: 601, violations: 0, ms: 1 }), rows)).toBe(0);
    expect(roundsToRun(fresh, [])).toBe(0);
  });

  it('with a limit runs the same share of each within it, and at least one round', () => {
    // 1,100 s of work, and a start of 15 s each: half of it fits into 580 s.
    expect(roundsToRun(fresh, rows, 580)).toBe(500);
    expect(roundsToRun(fresh, [slow], 515)).toBe(50);
    expect(roundsToRun(fresh, rows, 3600)).toBe(1000);
    expect(roundsToRun(fresh, rows, 5)).toBe(1);
    expect(roundsToRun(fresh, [slow], -100)).toBe(1);
    expect(roundsToRun(added(fresh, slow, { rounds: 1, violations: 0, ms: 1 }), [slow], -100)).toBe(0);
  });

  it('gives a row with a share of its own no more than that of a limited call, and all of a call without', () => {
    const many = row('many', 100_000, 0.1, 1000);
    // 100 s and 1,000 s are shared, so that half of both fits.
    expect(roundsToRun(fresh, [many, slow], 580)).toBe(500);
    expect(roundsToRun(fresh, [slow, many], 580)).toBe(50);
    expect(roundsToRun(fresh, [many, slow])).toBe(100_000);
  });

  it('goes by how long the rounds of before took', () => {
    const state = added(fresh, quick, { rounds: 200, violations: 0, ms: 400_000 });
    // 800 rounds of 2 s and 100 of 10 s: 2,600 s.
    expect(roundsToRun(state, rows, 30 + 1300)).toBe(400);
    expect(chunkOf(state, quick, 800, false)).toBe(150);
    expect(chunkOf(fresh, slow, 100, false)).toBe(30);
    expect(chunkOf(fresh, slow, 100, true)).toBe(6);
    expect(chunkOf(fresh, slow, 3, true)).toBe(3);
  });

  it('reads what a test says of itself, in one line or several, and of no other', () => {
    const output =
      'chaos quick rounds=3 violations=0\n\nchaos slow rounds=9 violations=9\nchaos quick rounds=2 violations=1\n';
    expect(figuresIn('quick', ran(1, output))).toEqual({ rounds: 5, violations: 1, ms: 2_000 });
    expect(figuresIn('quick', ran(0, '\u001B[39mchaos quick rounds=3 violations=0'))).toMatchObject({
      violations: 0,
    });
  });

  it('a test that failed without a word of it has found something; one that ran nothing has not', () => {
    expect(figuresIn('quick', ran(1, 'chaos quick rounds=3 violations=0'))).toMatchObject({ violations: 1 });
    expect(figuresIn('quick', ran(1, 'no engine'))).toMatchObject({ rounds: 0, violations: 0 });
  });

  it('ends with the sums; it has failed where a row was violated, or has no round', () => {
    let state = added(fresh, quick, { rounds: 1000, violations: 0, ms: 1 });
    expect(summary(state, rows)).toMatchObject({
      last: 'chaos: 1000 rounds, 0 violations, seed 7',
      bad: true,
    });
    expect(summary(state, rows).lines).toEqual([
      'ok   R0  quick               1000 of 1000 rounds, 0 violations',
      'FAIL R0  slow                0 of 100 rounds, 0 violations',
    ]);
    state = added(state, slow, { rounds: 1, violations: 0, ms: 1 });
    expect(summary(state, rows)).toMatchObject({
      last: 'chaos: 1001 rounds, 0 violations, seed 7',
      bad: false,
    });
    state = added(state, slow, { rounds: 2, violations: 2, ms: 1 });
    expect(summary(state, rows)).toMatchObject({
      last: 'chaos: 1003 rounds, 2 violations, seed 7',
      bad: true,
    });
  });

  it('goes on where the last one stopped, until all has run in full', () => {
    const file = join(tempFolder(), 'below', 'chaos.json');
    expect(readState(file)).toBeUndefined();
    let state = added(fresh, quick, { rounds: 1000, violations: 0, ms: 5 });
    writeState(file, state);
    expect(readState(file)).toEqual(state);
    expect([isDone(state, [quick]), isDone(state, rows), roundsLeft(state, slow)]).toEqual([
      true,
      false,
      100,
    ]);
    state = added(state, slow, { rounds: 60, violations: 0, ms: 5 });
    state = added(state, slow, { rounds: 40, violations: 0, ms: 5 });
    writeState(file, state);
    expect(isDone(readState(file) ?? fresh, rows)).toBe(true);
  });

  it.each(['', '{', '{"seed":"x","rows":{}}', '{"seed":1}'])('begins anew where the file says %j', (text) => {
    const file = join(tempFolder(), 'chaos.json');
    writeFileSync(file, text);
    expect(readState(file)).toBeUndefined();
  });
});

describe('the rows', () => {
  const files = readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `test/${path}`);
  const texts = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]));

  it('have a name of their own, and tests that are there and say it', () => {
    expect(new Set(ROWS.map(({ name }) => name)).size).toBe(ROWS.length);
    expect(ROWS.flatMap(({ files: its }) => its).filter((file) => !existsSync(file))).toEqual([]);
    const all = [...texts.values()].join('\n');
    const silent = ROWS.filter(({ name }) => !all.includes(`'${name}'`)).map(({ name }) => name);
    expect(silent).toEqual([]);
  });

  it('are all the tests that count rounds, and docs/reliability.md tells each with its full count', () => {
    const known = new Set(ROWS.flatMap(({ files: its }) => its));
    const counting = files.filter((file) =>
      /chaosRow\(|new ChaosRow\(|TAPPET_ROUNDS/.test(texts.get(file) ?? ''),
    );
    const shared = ['test/scripts/chaos.test.ts', 'test/sim/run-seeds.ts'];
    const unknown = counting.filter((file) => !known.has(file) && !file.startsWith('test/support/'));
    expect(unknown.filter((file) => !shared.includes(file))).toEqual([]);
    const page = readFileSync('docs/reliability.md', 'utf8').replaceAll(/ +/g, ' ');
    const told = ROWS.filter(({ name, point, full }) =>
      page.includes(`\n| ${point} | \`${name}\` | ${full.toLocaleString('en')} | `),
    );
    expect(told.map(({ name }) => name)).toEqual(ROWS.map(({ name }) => name));
  });
});
