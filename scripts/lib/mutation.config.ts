import { defineConfig } from 'vitest/config';

/** The tests that `npm run test:mutation` runs for the modules at hand; its script names them. */
const files = (process.env['TAPPET_MUTATION_TESTS'] ?? '').split(',');

export default defineConfig({
  test: {
    include: files.map((name) => `test/auth/${name}.test.ts`),
    isolate: false,
    retry: 0,
    restoreMocks: true,
    unstubEnvs: true,
  },
});
