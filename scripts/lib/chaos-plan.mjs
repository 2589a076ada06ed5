// @ts-check
// How a run of `npm run test:chaos` is divided, remembered and summed up. Pure, but for the file of the state.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/**
 * @typedef {import('./chaos-rows.mjs').ChaosRow} ChaosRow
 * @typedef {{ rounds: number, violations: number, ms: number }} Figures
 * What one run of a test came to; `code` is its exit code, `output` what it printed.
 * @typedef {{ code: number, output: string, ms: number }} Ran
 * What has been done so far, over all calls of the command. Times in ms.
 * @typedef {{ seed: number, rows: Record<string, Figures> }} State
 */

/** A test's start: vitest, the set-up, the engine. */
const START_S = 15;
/** A run that is ended loses at most so much work; where time is short, a wrong guess costs at most so much. */
const CHUNK_S = 300;
const SHORT_CHUNK_S = 60;

const NOTHING = { rounds: 0, violations: 0, ms: 0 };

/**
 * @param {State} state
 * @param {ChaosRow} row
 * @returns {Figures}
 */
export const figuresOf = (state, row) => state.rows[row.name] ?? NOTHING;

/**
 * @param {State} state
 * @param {ChaosRow} row
 */
export const roundsLeft = (state, row) => Math.max(0, row.full - figuresOf(state, row).rounds);

/**
 * Of a round, as it was measured so far.
 * @param {State} state
 * @param {ChaosRow} row
 */
export function secondsOf(state, row) {
  const { rounds, ms } = figuresOf(state, row);
  return rounds === 0 ? row.seconds : ms / 1000 / rounds;
}

/**
 * How many rounds of the first of `rows` to run, where all of them have to share what time is left: the same share of
 * what each still has to do, and at least one round in all. `leftS` absent = everything.
 * @param {State} state
 * @param {readonly ChaosRow[]} rows those still to come
 * @param {number} [leftS]
 */
export function roundsToRun(state, rows, leftS) {
  const [first] = rows;
  if (first === undefined) return 0;
  const left = roundsLeft(state, first);
  if (leftS === undefined || left === 0) return left;
  const waiting = rows.filter((row) => roundsLeft(state, row) > 0);
  const sharing = (/** @type {ChaosRow} */ row) => Math.min(roundsLeft(state, row), row.share);
  const needS = waiting.reduce((sum, row) => sum + sharing(row) * secondsOf(state, row), 0);
  const share = Math.min(1, Math.max(0, (leftS - waiting.length * START_S) / needS));
  return Math.max(figuresOf(state, first).rounds === 0 ? 1 : 0, Math.floor(sharing(first) * share));
}

/**
 * The rounds of one start of the test.
 * @param {State} state
 * @param {ChaosRow} row
 * @param {number} rounds
 * @param {boolean} short there is a limit of time
 */
export const chunkOf = (state, row, rounds, short) =>
  Math.min(rounds, Math.max(1, Math.floor((short ? SHORT_CHUNK_S : CHUNK_S) / secondsOf(state, row))));

/**
 * What a test said of itself, in lines `chaos <name> rounds=<n> violations=<n>`. A test that failed has found a
 * violation, also where it did not say so; one that ran no round has found nothing.
 * @param {string} name
 * @param {Ran} ran
 * @returns {Figures}
 */
export function figuresIn(name, { code, output, ms }) {
  let rounds = 0;
  let violations = 0;
  for (const [, said, ran, bad] of stripVTControlCharacters(output).matchAll(
    /^chaos (\S+) rounds=(\d+) violations=(\d+)\s*$/gm,
  )) {
    if (said !== name) continue;
    rounds += Number(ran);
    violations += Number(bad);
  }
  if (code !== 0 && rounds > 0) violations = Math.max(1, violations);
  return { rounds, violations, ms };
}

/**
 * @param {State} state
 * @param {ChaosRow} row
 * @param {Figures} more
 * @returns {State}
 */
export function added(state, row, more) {
  const { rounds, violations, ms } = figuresOf(state, row);
  const sum = { rounds: rounds + more.rounds, violations: violations + more.violations, ms: ms + more.ms };
  return { ...state, rows: { ...state.rows, [row.name]: sum } };
}

/**
 * Whether every one of them has run in full.
 * @param {State} state
 * @param {readonly ChaosRow[]} rows
 */
export const isDone = (state, rows) => rows.every((row) => roundsLeft(state, row) === 0);

/**
 * A line a row, and the last line. `bad`: something was violated, or a row has no round, which proves nothing.
 * @param {State} state
 * @param {readonly ChaosRow[]} rows
 */
export function summary(state, rows) {
  const all = rows.map((row) => ({ row, ...figuresOf(state, row) }));
  const sum = (/** @type {'rounds' | 'violations'} */ what) => all.reduce((n, one) => n + one[what], 0);
  const lines = all.map(({ row, rounds, violations }) => {
    const mark = violations > 0 || rounds === 0 ? 'FAIL' : 'ok  ';
    return `${mark} ${row.point.padEnd(4)}${row.name.padEnd(20)}${rounds} of ${row.full} rounds, ${violations} violations`;
  });
  return {
    lines,
    last: `chaos: ${sum('rounds')} rounds, ${sum('violations')} violations, seed ${state.seed}`,
    bad: all.some(({ rounds, violations }) => rounds === 0 || violations > 0),
  };
}

/**
 * The run that goes on: undefined where there is none, or its file cannot be read.
 * @param {string} file
 * @returns {State | undefined}
 */
export function readState(file) {
  try {
    const state = JSON.parse(readFileSync(file, 'utf8'));
    return Number.isSafeInteger(state?.seed) && typeof state.rows === 'object' ? state : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whole or not at all: the command may be ended at any moment.
 * @param {string} file
 * @param {State} state
 */
export function writeState(file, state) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}
