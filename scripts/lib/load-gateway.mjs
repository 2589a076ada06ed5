// @ts-check
// The gateway that the rows of `npm run test:load` measure, and a call that it lets in.
import { createHmac } from 'node:crypto';

const SECRET = 'a secret of the load test, 32 byte';
export const BODY = JSON.stringify({ id: 1, text: 'x'.repeat(200) });
export const DIGEST = createHmac('sha256', SECRET).update(BODY).digest('hex');
/** Containers are not what this is about. */
export const ENV = { DOCKER_HOST: 'unix:///nowhere/docker.sock', LOAD_SECRET: SECRET };
export const MAX_BODY = 64 * 1024;
export const CONFIG = {
  server: { maxBody: `${MAX_BODY / 1024}Ki` },
  jobs: { none: { image: 'none:1' } },
  triggers: {
    in: {
      source: { kind: 'webhook', auth: { hmac: { secret: { env: 'LOAD_SECRET' } } } },
      run: { job: 'none' },
    },
  },
};

/**
 * Right but for its last digit.
 * @param {string} digest
 */
export const almost = (digest) => digest.slice(0, -1) + otherThan(digest.slice(-1));
/** @param {string} digit */
export const otherThan = (digit) => (digit === '0' ? '1' : '0');
