// @ts-check
// A small OIDC issuer for the demo: discovery, keys, and tokens for one client whose secret is made at each start.
// Loopback only. Usage: node scripts/demo-issuer.mjs <issuer url>, with DEMO_CLIENT_SECRET in the environment.
import { createServer } from 'node:http';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';

const issuer = process.argv[2];
const secret = process.env['DEMO_CLIENT_SECRET'];
if (issuer === undefined || secret === undefined)
  throw new Error('needs an issuer address and DEMO_CLIENT_SECRET');

const KEY_ID = 'demo-1';
const { publicKey, privateKey } = await generateKeyPair('RS256');
const keys = [{ ...(await exportJWK(publicKey)), kid: KEY_ID, use: 'sig', alg: 'RS256' }];
const metadata = {
  issuer,
  jwks_uri: `${issuer}/keys`,
  token_endpoint: `${issuer}/token`,
  grant_types_supported: ['client_credentials'],
  response_types_supported: ['token'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
};

/** @param {URLSearchParams} form */
async function token(form) {
  const known = form.get('client_id') === 'demo' && form.get('client_secret') === secret;
  if (!known) return { status: 401, body: { error: 'invalid_client' } };
  const jwt = new SignJWT({ email: 'demo@example.com', email_verified: true })
    .setProtectedHeader({ alg: 'RS256', kid: KEY_ID, typ: 'JWT' })
    .setIssuer(issuer ?? '')
    .setSubject('demo')
    .setAudience(form.get('audience') ?? '')
    .setIssuedAt()
    .setExpirationTime('5m');
  const body = { access_token: await jwt.sign(privateKey), token_type: 'Bearer', expires_in: 300 };
  return { status: 200, body };
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @returns {Promise<{ status: number, body: object }>}
 */
async function answer(request) {
  const path = new URL(request.url ?? '/', issuer).pathname;
  if (path === '/.well-known/openid-configuration') return { status: 200, body: metadata };
  if (path === '/keys') return { status: 200, body: { keys } };
  if (path !== '/token' || request.method !== 'POST') return { status: 404, body: { error: 'not_found' } };
  let form = '';
  for await (const chunk of request) form += String(chunk);
  return token(new URLSearchParams(form));
}

const server = createServer((request, response) => {
  void answer(request)
    .catch(() => ({ status: 500, body: { error: 'server_error' } }))
    .then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(JSON.stringify(body));
    });
});
server.listen(Number(new URL(issuer).port), '127.0.0.1', () => process.stdout.write(`issuer ${issuer}\n`));
