import { defineConfig } from 'vitest/config';
import { bundled } from './scripts/lib/bundled.mjs';

const KINDS = ['contract', 'sim', 'integration', 'e2e'];
/** Ends the process, or what stands for it, at each step in turn: seconds each, so that `npm run check` goes without. */
const CRASH = [
  'test/executor/crash-places.test.ts',
  'test/executor/long-output.test.ts',
  'test/logs/log-space.test.ts',
  'test/secrets/secret-store-crash.test.ts',
  'test/stores/sqlite/schemas-killed.test.ts',
  'test/triggers/files/kill.test.ts',
  'test/triggers/storage/crash.test.ts',
];
/** Seconds each, by thousands of random cases, whole configurations, or programs that are started: for `npm test` too. */
const SLOW = [
  'test/auth/token-mutations.test.ts',
  'test/commands/curl.test.ts',
  'test/commands/describe-reasons.test.ts',
  'test/commands/forget-engine.test.ts',
  'test/commands/local-commands.test.ts',
  'test/config/all-errors.test.ts',
  'test/config/quick-values.test.ts',
  'test/http/page-hostile.test.ts',
  'test/http/small-bodies.test.ts',
  'test/notify/crash-places.test.ts',
  'test/secrets/secret-store.test.ts',
  'test/stores/sqlite/commit-queue.test.ts',
  'test/triggers/files/plain-glob.test.ts',
];
const elsewhere = [...KINDS.map((kind) => `test/${kind}/**`), ...CRASH, ...SLOW];

/**
 * Real containers: one file at a time, and only when the fast tests are through, so that no test's deadline pays for
 * another test's load.
 */
const real = (groupOrder: number) => ({
  fileParallelism: false,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  sequence: { groupOrder },
});

/** Loading the modules anew for each of some ninety files would cost more than all their tests. */
const shared = { isolate: false };

/** With SEED, that one alone; without, everything else. */
const ONE_SEED = 'test/sim/one-seed.test.ts';
const seeds =
  process.env['SEED'] === undefined
    ? { include: ['test/sim/**/*.test.ts'], exclude: [ONE_SEED] }
    : { include: [ONE_SEED] };

export default defineConfig({
  test: {
    retry: 0,
    restoreMocks: true,
    unstubEnvs: true,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: elsewhere, ...shared },
      },
      { extends: true, test: { name: 'contract', include: ['test/contract/**/*.test.ts'], ...shared } },
      { extends: true, test: { name: 'crash', include: CRASH, testTimeout: 60_000, ...shared } },
      { extends: true, test: { name: 'slow', include: SLOW, testTimeout: 20_000, ...shared } },
      { extends: true, plugins: [bundled()], test: { name: 'sim', ...seeds, testTimeout: 60_000 } },
      // Needs an engine: `npm test` brings one.
      {
        extends: true,
        test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...real(1) },
      },
      // Starts the built product, dist/src/cli.js.
      { extends: true, test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], ...real(2) } },
    ],
  },
});
