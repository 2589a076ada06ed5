// @ts-check
// The steps of `npm run check`, and how they are run: in parallel, each to its end, whatever becomes of the others.
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { run } from './run.mjs';
import { root, seconds } from './say.mjs';

/**
 * @typedef {{ name: string, program: string, args: string[], env?: Readonly<Record<string, string>> }} Step
 * @typedef {{ name: string, passed: boolean, ms: number }} StepResult
 */

/** @type {(name: string, path: string, ...args: string[]) => Step} */
const tool = (name, path, ...args) => ({ name, program: join(root, 'node_modules', path), args });
/** @type {(name: string, path: string, ...args: string[]) => Step} */
const script = (name, path, ...args) => ({ name, program: join(root, 'scripts', path), args });

/**
 * In the order in which they are started: what takes long comes first. Most of the time goes into reading the same
 * files again, so one step answers all that one reading can: `lint` also checks the types (TypeScript itself is asked
 * by `npm test`), and `imports` also compares the graph in the docs.
 * @type {readonly Step[]}
 */
export const STEPS = [
  tool(
    'tests',
    'vitest/vitest.mjs',
    'run',
    // The simulator's 200 seeds, the crashes at every step and what takes seconds are `npm test`'s: they alone would take
    // most of the minute.
    ...['unit', 'contract'].flatMap((name) => ['--project', name]),
    // Left to itself it keeps a core free for whoever looks on.
    '--maxWorkers=100%',
  ),
  {
    ...tool('lint', 'oxlint/bin/oxlint', '--type-aware', '--type-check', '--format=unix'),
    // It ends before its garbage is worth collecting, which takes a fifth of its time. On one core, because each thread
    // finds out about the types for itself, and the tests have the other.
    env: { GOGC: 'off', GOMEMLIMIT: '2GiB', GOMAXPROCS: '1' },
  },
  // Prettier's text by a formatter that reads eight hundred files in the time in which Prettier starts: Prettier took
  // a third of the minute.
  tool('format', 'oxfmt/bin/oxfmt', '--check', '.'),
  script('schema', 'schema.mjs', '--check'),
  script('imports', 'imports.mjs'),
  tool('unused', 'knip/bin/knip.js', '--no-progress'),
];

/**
 * A line per step, with the output of what failed.
 * @param {readonly Step[]} steps
 * @param {(text: string) => void} print
 * @returns {Promise<StepResult[]>} in the order in which they ended
 */
export async function runSteps(steps, print) {
  const waiting = [...steps];
  /** @type {StepResult[]} */
  const results = [];
  const worker = async () => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      results.push(await runStep(step, print));
    }
  };
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, worker));
  return results;
}

/**
 * @param {Step} step
 * @param {(text: string) => void} print
 * @returns {Promise<StepResult>}
 */
async function runStep({ name, program, args, env }, print) {
  const start = Date.now();
  const { code, output } = await run(process.execPath, [program, ...args], {
    env: { ...process.env, ...env },
  });
  const ms = Date.now() - start;
  const passed = code === 0;
  print(`${passed ? 'ok  ' : 'FAIL'} ${name.padEnd(8)}${seconds(ms).padStart(7)}\n`);
  if (!passed) print(`${output.trimEnd()}\n\n`);
  return { name, passed, ms };
}

const BUDGET_MS = 60_000;

/**
 * The last line. Over a minute is said, and is no failure: seconds depend on what else the machine does, and a check
 * that fails because a browser was open teaches people to pass it by. The line names where to look.
 * @param {readonly StepResult[]} results
 * @param {number} ms of all of them together, without the set-up
 */
export function verdict(results, ms) {
  const failed = results.filter((result) => !result.passed).map(({ name }) => name);
  const said = failed.length === 0 ? 'all passed' : `failed: ${failed.join(', ')}`;
  const line = `check: ${said} in ${seconds(ms)}`;
  if (ms <= BUDGET_MS) return line;
  const slowest = results.toSorted((a, b) => b.ms - a.ms)[0];
  const where =
    slowest === undefined ? '' : `; the longest step is ${slowest.name} with ${seconds(slowest.ms)}`;
  return `${line}, over its budget of ${seconds(BUDGET_MS)}${where}`;
}
