// @ts-check
// `npm test [-- --full] [vitest arguments]`: every test, against a real engine. The last line is the count.
// `--full`: what takes an hour runs as large as it may be, not as large as it must.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { command } from './lib/command.mjs';
import { ensureFfmpeg } from './lib/ffmpeg.mjs';
import { ensureMinio, ensureSeaweedfs } from './lib/object-store.mjs';
import { ensureComponents, hasComponent } from './lib/packages.mjs';
import { ensurePostgres } from './lib/postgres.mjs';
import { run } from './lib/run.mjs';
import { explain, root, say } from './lib/say.mjs';
import { countTests } from './lib/test-report.mjs';
import { setUp } from './setup.mjs';

/** What tests need beside the engine, in one place. The engine that was found may be another one than Debian's. */
const COMPONENTS = [
  {
    component: { apt: 'docker-registry', programs: ['docker-registry'] },
    why: 'to test image pulls without a network',
  },
  {
    component: { apt: 'chromium', programs: ['chromium'] },
    why: 'to look at the page in a real browser',
  },
  {
    component: { apt: 'docker.io', programs: ['dockerd'] },
    why: 'to test what the death of an engine does',
  },
  { component: { apt: 'iproute2', programs: ['ip'] }, why: 'to test engines that stand side by side' },
  {
    component: { apt: 'podman', programs: ['podman'] },
    why: 'to test the other engine',
  },
  // Podman takes crun where there is no runc, and that wants cgroups as systemd makes them.
  { component: { apt: 'runc', programs: ['runc'] }, why: 'to run containers by Podman' },
  {
    component: { apt: 'catatonit', programs: ['catatonit'] },
    why: 'to pass signals on in Podman’s containers',
  },
  {
    component: { apt: 'fiu-utils', programs: ['fiu-run', 'fiu-ctrl'] },
    why: 'to test a disk that fails',
  },
  {
    component: { apt: 'curl', programs: ['curl'] },
    why: 'to make the calls that documents show, and that are printed',
  },
  {
    component: { apt: 'docker-cli', instead: 'docker.io', programs: ['docker'] },
    why: 'to test the recipe of examples/images',
  },
];
/** Real object stores and ffmpeg, built or fetched once for all clones of this user; a real database from Debian. */
const PROGRAMS = [ensureMinio, ensureSeaweedfs, ensureFfmpeg, ensurePostgres];

await command(async () => {
  const args = process.argv.slice(2).filter((arg) => arg !== '--yes' && arg !== '--full');
  if (process.argv.includes('--full')) process.env['TAPPET_TEST_FULL'] = '1';
  // The tests make their own image, from what the tests need in it (test/support/engine.ts).
  await setUp([]);
  let missing = 0;
  for (const { component, why } of COMPONENTS) {
    // The tests that do without it still run; the run as a whole has failed.
    await ensureComponents([component], why).catch(explain);
    if (!hasComponent(component)) missing++;
  }
  for (const ensure of PROGRAMS) {
    await ensure().catch((error) => {
      explain(error);
      missing++;
    });
  }
  const report = join(root, '.tappet/test-report.json');
  mkdirSync(join(root, '.tappet'), { recursive: true });
  rmSync(report, { force: true });
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const ran = await run(process.execPath, [vitest, 'run', ...reporters, ...args], { quiet: false });
  const counted = countTests(readReport(report), {
    filtered: args.some((arg) => /^(-t|--testNamePattern)/.test(arg)),
  });
  const failed = counted.failed + missing;
  for (const problem of counted.problems) say(problem);
  const bad = failed > 0 || counted.problems.length > 0 || ran.code !== 0;
  // vitest can fail without a failed test: an unhandled error, a project without a single test.
  const shown = bad ? Math.max(failed, 1) : 0;
  process.stdout.write(`tests: ${counted.passed} passed, ${shown} failed, ${counted.skipped} skipped\n`);
  return bad ? 1 : 0;
});

/** @param {string} file */
function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { testResults: [] };
  }
}
