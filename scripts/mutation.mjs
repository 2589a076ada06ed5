// @ts-check
// `npm run test:mutation [-- --fresh] [module …]`: changes src/auth in one place at a time and sees whether a test
// notices. Places that nothing has touched since the last run keep what they came to; a report for each group of modules
// stands in .tappet/mutation/. docs/reliability.md has the figures.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { command } from './lib/command.mjs';
import { GROUPS } from './lib/mutation-groups.mjs';
import { score } from './lib/mutation-score.mjs';
import { SetupError, root, say } from './lib/say.mjs';
import { setUpTools } from './setup.mjs';

/**
 * @typedef {import('./lib/mutation-groups.mjs').Group} Group
 * @typedef {import('./lib/mutation-score.mjs').Mutant} Mutant
 */

const FOLDER = '.tappet/mutation';
/** Apart, as its type is an enum that only a package of Stryker's own has. @type {Record<string, string>} */
const QUIET = { logLevel: 'warn' };
const USAGE = 'npm run test:mutation -- [--fresh] [names of files of src/auth, such as claims]';

await command(async () => {
  const { fresh, groups } = readOptions();
  await setUpTools();
  process.chdir(root);
  /** @type {Mutant[]} */
  const mutants = [];
  for (const group of groups) {
    say(`mutation: ${group.modules.join(', ')}, by ${group.tests.join(', ')} …`);
    mutants.push(...(await mutate(group, fresh)));
  }
  const { lines, last, bad } = score(mutants);
  for (const line of lines) say(line);
  process.stdout.write(`${last}\n`);
  return bad ? 1 : 0;
});

/**
 * @param {Group} group
 * @param {boolean} fresh
 * @returns {Promise<Mutant[]>}
 */
async function mutate({ modules, tests }, fresh) {
  // Only now: this file is read before the packages are installed.
  const { Stryker } = await import('@stryker-mutator/core');
  process.env['TAPPET_MUTATION_TESTS'] = tests.join();
  const path = `${FOLDER}/${modules.join('-')}`;
  return new Stryker({
    testRunner: 'vitest',
    vitest: { configFile: 'scripts/lib/mutation.config.ts', related: false },
    mutate: modules.map((name) => `src/auth/${name}.ts`),
    // Its copy of the project needs no more than the tests do.
    ignorePatterns: ['.ci', '.tappet', 'bench', 'dist*', 'docs', 'examples', 'inbox'],
    coverageAnalysis: 'perTest',
    ignoreStatic: false,
    concurrency: 2,
    // A machine that is busy must not look like an endless loop, which counts as noticed.
    timeoutMS: 20_000,
    incremental: true,
    force: fresh,
    incrementalFile: `${path}.incremental.json`,
    tempDirName: `${FOLDER}/sandboxes`,
    cleanTempDir: 'always',
    ...QUIET,
    // Static places count, however long they take.
    warnings: { slow: false, preprocessorErrors: true, unknownOptions: true, unserializableOptions: true },
    reporters: ['html', 'json'],
    htmlReporter: { fileName: `${path}.html` },
    jsonReporter: { fileName: `${path}.json` },
  }).runMutationTest();
}

function readOptions() {
  try {
    const { values, positionals } = parseArgs({
      options: { fresh: { type: 'boolean', default: false }, yes: { type: 'boolean' } },
      allowPositionals: true,
    });
    const there = readdirSync(join(root, 'src/auth')).map((file) => file.replace(/\.ts$/, ''));
    const judged = new Set(GROUPS.flatMap(({ modules }) => modules));
    const forgotten = there.filter((name) => !judged.has(name));
    if (forgotten.length > 0) {
      throw new Error(`scripts/lib/mutation-groups.mjs names no tests for ${forgotten.join(', ')}.`);
    }
    const unknown = positionals.filter((name) => !judged.has(name));
    if (unknown.length > 0) throw new Error(`There is no src/auth/${unknown[0]}.ts.`);
    const groups = GROUPS.filter(({ modules }) => modules.some((name) => positionals.includes(name)));
    return { fresh: values.fresh, groups: positionals.length === 0 ? GROUPS : groups };
  } catch (error) {
    throw new SetupError(`${error instanceof Error ? error.message : String(error)}\nUsage: ${USAGE}`);
  }
}
