// @ts-check
// `npm run test:mutation [-- --fresh] [module …]`: changes src/auth in one place at a time and sees whether a test
// notices. Places that nothing has touched since the last run keep what they came to; the report stands in
// .tappet/mutation/report.html. docs/reliability.md has the figures.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { command } from './lib/command.mjs';
import { score } from './lib/mutation-score.mjs';
import { SetupError, root, say } from './lib/say.mjs';
import { setUpTools } from './setup.mjs';

const FOLDER = '.tappet/mutation';
const USAGE = 'npm run test:mutation -- [--fresh] [names of files of src/auth, such as claims]';

await command(async () => {
  const { fresh, mutate } = readOptions();
  await setUpTools();
  process.chdir(root);
  // Only now: this file is read before the packages are installed.
  const { Stryker } = await import('@stryker-mutator/core');
  const mutants = await new Stryker({
    testRunner: 'vitest',
    vitest: { configFile: 'scripts/lib/mutation.config.ts', related: false },
    mutate,
    // Its copy of the project needs no more than the tests do.
    ignorePatterns: ['.ci', '.tappet', 'bench', 'dist*', 'docs', 'examples', 'inbox'],
    coverageAnalysis: 'perTest',
    ignoreStatic: false,
    concurrency: 2,
    // A machine that is busy must not look like an endless loop, which counts as noticed.
    timeoutMS: 20_000,
    incremental: true,
    force: fresh,
    incrementalFile: `${FOLDER}/incremental.json`,
    tempDirName: `${FOLDER}/sandboxes`,
    cleanTempDir: 'always',
    reporters: ['html', 'json', 'progress-append-only'],
    htmlReporter: { fileName: `${FOLDER}/report.html` },
    jsonReporter: { fileName: `${FOLDER}/report.json` },
    allowEmpty: false,
  }).runMutationTest();
  const { lines, last, bad } = score(mutants);
  for (const line of lines) say(line);
  process.stdout.write(`${last}\n`);
  return bad ? 1 : 0;
});

function readOptions() {
  try {
    const { values, positionals } = parseArgs({
      options: { fresh: { type: 'boolean', default: false }, yes: { type: 'boolean' } },
      allowPositionals: true,
    });
    const files = positionals.map((name) => `src/auth/${name.replace(/\.ts$/, '')}.ts`);
    const missing = files.find((file) => !existsSync(join(root, file)));
    if (missing !== undefined) throw new Error(`There is no ${missing}.`);
    return { fresh: values.fresh, mutate: files.length === 0 ? ['src/auth/*.ts'] : files };
  } catch (error) {
    throw new SetupError(`${error instanceof Error ? error.message : String(error)}\nUsage: ${USAGE}`);
  }
}
