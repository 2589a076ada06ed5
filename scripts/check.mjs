// @ts-check
// `npm run check`: everything that can be known without an engine. A line per step; output only of what failed.
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { command } from './lib/command.mjs';
import { run } from './lib/run.mjs';
import { root, seconds } from './lib/say.mjs';
import { setUpTools } from './setup.mjs';

/**
 * @typedef {{ name: string, program: string, args: string[], after?: string }} Step
 */

/** @type {(name: string, path: string, ...args: string[]) => Step} */
const tool = (name, path, ...args) => ({ name, program: join(root, 'node_modules', path), args });
/** @type {(name: string, path: string, ...args: string[]) => Step} */
const script = (name, path, ...args) => ({ name, program: join(root, 'scripts', path), args });

/** In the order in which they are started: what takes long comes first. */
const STEPS = [
  tool(
    'types',
    'typescript/bin/tsc',
    '--noEmit',
    '--incremental',
    '--tsBuildInfoFile',
    '.tappet/check.tsbuildinfo',
  ),
  tool(
    'tests',
    'vitest/vitest.mjs',
    'run',
    // The simulator's 200 seeds are `npm test`'s: they alone would take most of the minute.
    ...['unit', 'contract'].flatMap((name) => ['--project', name]),
  ),
  script('schema', 'schema.mjs', '--check'),
  tool('lint', 'oxlint/bin/oxlint', '--type-aware', '--format=unix'),
  tool(
    'format',
    'prettier/bin/prettier.cjs',
    '--check',
    '--cache',
    '--cache-location=.tappet/prettier',
    '--log-level=warn',
    '.',
  ),
  tool(
    'imports',
    'dependency-cruiser/bin/dependency-cruise.mjs',
    'src',
    'triggers',
    '--output-type=err-long',
  ),
  tool('unused', 'knip/bin/knip.js', '--no-progress'),
  script('graph', 'graph.mjs', '--check'),
];

await command(async () => {
  await setUpTools();
  const start = Date.now();
  const waiting = [...STEPS];
  /** @type {string[]} */
  const failures = [];
  const worker = async () => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      if (!(await passes(step))) failures.push(step.name);
    }
  };
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, worker));
  const verdict = failures.length === 0 ? 'all passed' : `failed: ${failures.join(', ')}`;
  process.stdout.write(`check: ${verdict} in ${seconds(Date.now() - start)}\n`);
  return failures.length === 0 ? 0 : 1;
});

/** @param {Step} step */
async function passes({ name, program, args }) {
  const start = Date.now();
  const { code, output } = await run(process.execPath, [program, ...args]);
  const time = seconds(Date.now() - start).padStart(7);
  process.stdout.write(`${code === 0 ? 'ok  ' : 'FAIL'} ${name.padEnd(8)}${time}\n`);
  if (code !== 0) process.stdout.write(`${output.trimEnd()}\n\n`);
  return code === 0;
}
