// @ts-check
// An issuer on loopback, and tokens of it that are nearly right. `npm run test:load` uses it.
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

/** Seconds: longer than any row. */
const LIFETIME = 3600;
const KID = 'load-1';

/**
 * @typedef {object} Wrong what is not as the gateway wants it
 * @property {string} [sub]
 * @property {string} [aud]
 * @property {string} [kid]
 * @property {boolean} [signature]
 */

/**
 * @param {{ sub: string, aud: string }} right
 */
export async function startIssuer(right) {
  const ours = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...ours.publicKey.export({ format: 'jwk' }), kid: KID, alg: 'RS256', use: 'sig' };
  const server = createServer((request, response) => {
    const body = request.url === '/jwks' ? { keys: [jwk] } : { issuer: url, jwks_uri: `${url}/jwks` };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('the issuer has no port');
  const url = `http://127.0.0.1:${address.port}`;
  const iat = Math.floor(Date.now() / 1000);
  /** @param {Wrong} wrong */
  const token = ({ sub = right.sub, aud = right.aud, kid = KID, signature = false }) => {
    const claims = { iss: url, sub, aud, iat, exp: iat + LIFETIME };
    const signed = [{ alg: 'RS256', typ: 'JWT', kid }, claims].map(base64url).join('.');
    const { privateKey } = signature ? other : ours;
    return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`;
  };
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url, token, close };
}

const base64url = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url');
