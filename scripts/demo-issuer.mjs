// @ts-check
// An OpenID provider for the demo: `oidc-provider` with one client, whose secret is made at each start.
// Loopback only. Usage: node scripts/demo-issuer.mjs <issuer url>, with DEMO_CLIENT_SECRET in the environment.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
// @ts-expect-error: the package has no types
import { Provider } from 'oidc-provider';

const issuer = process.argv[2];
const secret = process.env['DEMO_CLIENT_SECRET'];
if (issuer === undefined || secret === undefined)
  throw new Error('needs an issuer address and DEMO_CLIENT_SECRET');

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const provider = new Provider(issuer, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'demo-1', alg: 'RS256', use: 'sig' }] },
  clients: [
    {
      client_id: 'shop',
      client_secret: secret,
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  ttl: { ClientCredentials: 300 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // A resource is named by an address; the token's audience is its host.
      getResourceServerInfo: (/** @type {unknown} */ _context, /** @type {string} */ resource) => ({
        scope: '',
        audience: new URL(resource).hostname,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  formats: {
    customizers: {
      jwt: (/** @type {unknown} */ _context, /** @type {unknown} */ _token, /** @type {any} */ jwt) => {
        Object.assign(jwt.payload, { email: 'shop@example.com', email_verified: true });
      },
    },
  },
});

const server = createServer(provider.callback());
server.listen(Number(new URL(issuer).port), '127.0.0.1', () => process.stdout.write(`issuer ${issuer}\n`));
