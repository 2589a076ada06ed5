// @ts-check
// `npm run test:chaos [-- --minutes N] [--fresh] [--seed S] [--rows a,b]`: what may never happen, tried often enough
// to say so. Goes on where the last call stopped, until every row has run in full; docs/reliability.md tells the rows.
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  added,
  chunkOf,
  figuresIn,
  isDone,
  readState,
  roundsToRun,
  summary,
  writeState,
} from './lib/chaos-plan.mjs';
import { ROWS, needsEngine } from './lib/chaos-rows.mjs';
import { command } from './lib/command.mjs';
import { run, tail } from './lib/run.mjs';
import { SetupError, root, say, seconds } from './lib/say.mjs';
import { setUpTools } from './setup.mjs';

/** @typedef {import('./lib/chaos-plan.mjs').State} State */
/** @typedef {import('./lib/chaos-plan.mjs').ChaosRow} ChaosRow */

const FILE = join(root, '.tappet/chaos.json');
const USAGE = `npm run test:chaos -- [--minutes N] [--fresh] [--seed S] [--rows ${ROWS.map(({ name }) => name).join(',')}]`;

await command(async () => {
  const start = Date.now();
  const options = readOptions();
  await setUpTools();
  let state = begin(options);
  const { rows, minutes } = options;
  /** Absent = no limit. */
  const leftS = () => (minutes === undefined ? undefined : minutes * 60 - (Date.now() - start) / 1000);
  for (const [i, row] of rows.entries()) {
    let rounds = roundsToRun(state, rows.slice(i), leftS());
    while (rounds > 0) {
      const done = await runChunk(state, row, chunkOf(state, row, rounds, minutes !== undefined));
      state = added(state, row, done);
      writeState(FILE, state);
      // What cannot be run now is no better at the next try.
      if (done.rounds === 0) break;
      rounds = Math.min(rounds - done.rounds, roundsToRun(state, rows.slice(i), leftS()));
    }
  }
  const { lines, last, bad } = summary(state, rows);
  for (const line of lines) say(line);
  process.stdout.write(`${last}\n`);
  return bad ? 1 : 0;
});

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string' },
        fresh: { type: 'boolean', default: false },
        seed: { type: 'string' },
        rows: { type: 'string' },
        yes: { type: 'boolean' },
      },
    });
    const names = values.rows?.split(',') ?? ROWS.map(({ name }) => name);
    const rows = names.map(rowOf);
    return {
      rows,
      fresh: values.fresh,
      ...(values.minutes === undefined ? {} : { minutes: number('--minutes', values.minutes) }),
      ...(values.seed === undefined ? {} : { seed: Math.trunc(number('--seed', values.seed)) }),
    };
  } catch (error) {
    throw new SetupError(`${error instanceof Error ? error.message : String(error)}\nUsage: ${USAGE}`);
  }
}

/** @param {string} name */
function rowOf(name) {
  const row = ROWS.find((one) => one.name === name);
  if (row === undefined) throw new Error(`There is no row ${name}.`);
  return row;
}

/**
 * @param {string} option
 * @param {string} text
 */
function number(option, text) {
  const value = Number(text);
  if (text === '' || !(value >= 0)) throw new Error(`${option} takes a number, not "${text}".`);
  return value;
}

/**
 * The run to go on with, or a new one: where the last has run in full, where one is asked for, and where there is none.
 * @param {ReturnType<typeof readOptions>} options
 * @returns {State}
 */
function begin({ fresh, seed, rows }) {
  const last = readState(FILE);
  if (last !== undefined && !fresh && !isDone(last, rows) && (seed === undefined || seed === last.seed)) {
    say(`chaos: goes on with seed ${last.seed} (--fresh begins anew)`);
    return last;
  }
  const state = { seed: seed ?? randomInt(2 ** 31), rows: {} };
  say(`chaos: begins with seed ${state.seed}`);
  return state;
}

/**
 * @param {State} state
 * @param {ChaosRow} row
 * @param {number} rounds
 */
async function runChunk(state, row, rounds) {
  const from = state.rows[row.name]?.rounds ?? 0;
  say(`chaos: ${row.point} ${row.name}: rounds ${from + 1} to ${from + rounds} of ${row.full} …`);
  const vitest = ['node_modules/vitest/vitest.mjs', 'run'];
  const program = needsEngine(row) ? ['scripts/test.mjs', '--yes'] : vitest;
  const args = [...program, '--project', row.project, ...row.files];
  const env = {
    ...process.env,
    NO_COLOR: '1',
    TAPPET_ROUNDS: String(rounds),
    TAPPET_FIRST: String(from),
    TAPPET_SEED: String(state.seed),
  };
  const start = Date.now();
  const ran = { ...(await run(process.execPath, args, { env })), ms: Date.now() - start };
  const figures = figuresIn(row.name, ran);
  say(`chaos: … ${figures.rounds} rounds, ${figures.violations} violations, ${seconds(ran.ms)}`);
  if (ran.code !== 0 || figures.rounds === 0) say(tail(ran.output, 120));
  return figures;
}
