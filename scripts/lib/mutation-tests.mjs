// @ts-check
// What `npm run test:mutation` runs for each changed place of src/auth: the fast tests of these modules. Left out are
// those that take seconds or ask a real server (token-mutations, jwks-stub-server, the vectors over HTTP) and those that
// measure time (hostile-callers).
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'test/auth/*.test.ts',
      // What only the configuration asks of these modules: which conditions are offered, which secrets are refused.
      'test/config/callers.test.ts',
      'test/config/oidc.test.ts',
    ],
    exclude: [
      'test/auth/hostile-callers.test.ts',
      'test/auth/jwks-stub-server.test.ts',
      'test/auth/token-mutations.test.ts',
    ],
    isolate: false,
    retry: 0,
    restoreMocks: true,
    unstubEnvs: true,
  },
});
