import { defineConfig } from 'vitest/config';

const KINDS = ['contract', 'sim', 'integration', 'e2e'];
const elsewhere = KINDS.map((kind) => `test/${kind}/**`);

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

export default defineConfig({
  test: {
    retry: 0,
    restoreMocks: true,
    unstubEnvs: true,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: elsewhere } },
      { extends: true, test: { name: 'contract', include: ['test/contract/**/*.test.ts'] } },
      { extends: true, test: { name: 'sim', include: ['test/sim/**/*.test.ts'], testTimeout: 60_000 } },
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
