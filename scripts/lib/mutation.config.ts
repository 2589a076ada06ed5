// What `npm run test:mutation` runs for each changed place of src/auth: the fast direct tests of these modules. Each
// change loads them anew, so that those are left out which load the whole configuration or make keys of RSA at once
// (claim-policy, jwt-attacks), read hundreds of vectors, ask a real server, or measure time.
import { defineConfig } from 'vitest/config';

const LEFT_OUT = [
  'claim-policy',
  'hostile-callers',
  'issuer-addresses',
  'jwks-stub-server',
  'jwt-attacks',
  'token-mutations',
  'wycheproof',
];

export default defineConfig({
  test: {
    include: ['test/auth/*.test.ts'],
    exclude: LEFT_OUT.map((name) => `test/auth/${name}.test.ts`),
    isolate: false,
    retry: 0,
    restoreMocks: true,
    unstubEnvs: true,
  },
});
