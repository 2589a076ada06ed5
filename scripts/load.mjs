// @ts-check
// `npm run test:load [-- --short] [--seed S] [--rows a,b]`: what depends on time, and so is not in CI. Whether the
// gateway's answers tell strangers anything by their time, and what slow and hostile senders do to others;
// docs/calls.md tells the rows.
import { randomInt } from 'node:crypto';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { ensureBuilt } from './lib/build.mjs';
import { command } from './lib/command.mjs';
import { LOAD_ROWS, runRow } from './lib/load-rows.mjs';
import { openFileLimit } from './lib/load-slow.mjs';
import { ensureComponents } from './lib/packages.mjs';
import { SetupError, explain, say, seconds } from './lib/say.mjs';
import { setUpTools } from './setup.mjs';

const NAMES = Object.keys(LOAD_ROWS);
const USAGE = `npm run test:load -- [--short] [--seed S] [--rows ${NAMES.join(',')}]`;
/** 2,000 connections, and what a process has open beside them. */
const FILES = 2_500;
/** The load of a machine that does nothing else. */
const QUIET = 1;
const mark = (/** @type {boolean} */ ok) => (ok ? 'ok  ' : 'FAIL');

await command(async () => {
  const { names, short, seed } = readOptions();
  const limit = openFileLimit();
  if (limit < FILES) {
    throw new SetupError(
      `A program here may open ${limit} files at a time; 2,000 connections need ${FILES}.\n` +
        `This line allows them, in this shell:\n  ulimit -n ${FILES}`,
    );
  }
  await setUpTools();
  await ensureBuilt();
  await ensureComponents(
    [
      { apt: 'slowhttptest', programs: ['slowhttptest'] },
      { apt: 'python3', programs: ['python3'] },
    ],
    'to send slowly',
  );
  say(`load: begins with seed ${seed}${short ? ', short' : ''}`);
  const [busy = 0] = loadavg();
  if (busy > QUIET)
    say(`load: this machine is busy (load ${busy.toFixed(1)}): what is late may be its fault`);
  let failed = 0;
  for (const name of names) {
    const start = Date.now();
    const ok = await told(name, { short, seed });
    if (!ok) failed++;
    say(`load: … ${name} took ${seconds(Date.now() - start)}`);
  }
  process.stdout.write(`load: ${names.length - failed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
});

/**
 * Runs a row and prints what came of it. A row that breaks off has failed, and the others go on.
 * @param {string} name
 * @param {import('./lib/load-rows.mjs').RowOptions} options
 */
async function told(name, options) {
  try {
    const { point, text, checks } = await runRow(name, options);
    const ok = checks.every((check) => check.ok);
    const lines = checks.map(
      (check) => `       ${mark(check.ok)} ${check.what}: ${check.figure} (goal: ${check.goal})\n`,
    );
    process.stdout.write(`${mark(ok)} ${point} ${name}: ${text}\n${lines.join('')}`);
    return ok;
  } catch (error) {
    process.stdout.write(`${mark(false)} ${name}: broke off\n`);
    explain(error);
    return false;
  }
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        short: { type: 'boolean', default: false },
        seed: { type: 'string' },
        rows: { type: 'string' },
        yes: { type: 'boolean' },
      },
    });
    const names = values.rows?.split(',') ?? NAMES;
    for (const name of names) if (!NAMES.includes(name)) throw new Error(`There is no row ${name}.`);
    const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
    if (!Number.isSafeInteger(seed)) throw new Error(`--seed takes a number, not "${values.seed}".`);
    return { names, short: values.short, seed };
  } catch (error) {
    throw new SetupError(`${error instanceof Error ? error.message : String(error)}\nUsage: ${USAGE}`);
  }
}
