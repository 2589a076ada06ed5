// A real OpenID provider on loopback, in plain JavaScript so that scripts can start it without a build.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const CLIENT = { id: 'caller', secret: 'the-callers-secret' };

function privateJwk(alg) {
  const pair =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = `${alg}-${randomBytes(4).toString('hex')}`;
  return { ...pair.privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

function configuration(keys, wanted) {
  return {
    jwks: { keys },
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    ttl: { ClientCredentials: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: '',
          audience: wanted.get(resource)?.audience ?? resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: wanted.get(resource)?.algorithm ?? 'RS256' } },
        }),
      },
    },
    formats: {
      customizers: {
        jwt: (_ctx, token, jwt) => {
          Object.assign(jwt.payload, wanted.get(token.resourceServer.identifier())?.claims);
        },
      },
    },
  };
}

/**
 * Starts an issuer. A token is asked for as any client would (`POST /token`, client_credentials, `resource`).
 * @param {{ port?: number }} [options] port 0 or absent = any free one
 */
export async function startOidcIssuer({ port = 0 } = {}) {
  const server = createServer();
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const pair = () => [privateJwk('RS256'), privateJwk('ES256')];
  const keys = pair();
  /** Published, and not yet used. */
  let next = [];
  let keysAfterMs = 0;
  const wanted = new Map();
  const requests = [];
  const provide = () => {
    // oidc-provider warns about what only matters in production (in-memory store, http).
    const warn = console.warn;
    console.warn = () => {};
    const provider = new Provider(issuer, configuration([...keys, ...next], wanted));
    console.warn = warn;
    return provider.callback();
  };
  let answer = provide();
  server.on('request', (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const delay = request.url === '/jwks' ? keysAfterMs : 0;
    if (delay === 0) answer(request, response);
    else setTimeout(() => answer(request, response), delay).unref();
  });

  async function token({ audience, claims = {}, algorithm = 'RS256' }) {
    const resource = `urn:resource:${wanted.size}`;
    wanted.set(resource, { audience, claims, algorithm });
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${CLIENT.id}:${CLIENT.secret}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
    });
    const body = await response.json();
    if (response.status !== 200) throw new Error(`the issuer gave no token: ${JSON.stringify(body)}`);
    return body.access_token;
  }

  return {
    issuer,
    jwksUrl: `${issuer}/jwks`,
    /** Private JWKs, to sign what the issuer itself would not. */
    keys,
    /** `GET /jwks` and so on, in order. */
    requests,
    client: CLIENT,
    token,
    announce() {
      next = pair();
      answer = provide();
    },
    rotate() {
      // The first key that fits is the one that signs; those from before the last time are gone.
      keys.unshift(...(next.length === 0 ? pair() : next));
      next = [];
      keys.splice(4);
      answer = provide();
    },
    slowKeys(afterMs) {
      keysAfterMs = afterMs;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
