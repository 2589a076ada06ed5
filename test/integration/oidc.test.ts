import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Issuers } from '../../src/auth/issuers.ts';
import { createClient } from '../../src/client/client.ts';
import { compileVerify } from '../../src/auth/verify.ts';
import type { IssuerSpec, Verify, VerifyResult } from '../../src/core/auth.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { isPublicAddress } from '../../src/lib/addresses.ts';
import { filteredFetch } from '../../src/lib/filtered-fetch.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { startGateway } from '../../src/main.ts';
import { ConfigFolder } from '../support/config-folder.ts';
import { FakeLog } from '../support/fake-log.ts';
import { AUDIENCE, issuerSpec, nameIsValue } from '../support/issuer-spec.ts';
import { startOidcIssuer, type OidcIssuer } from '../support/oidc-issuer.ts';
import { encode, signRaw } from '../support/tokens.ts';

const clock = new SystemClock();
/** Calls in all, by 16 callers. */
const ROTATION_CALLS = Number(process.env['TAPPET_ROTATION_CALLS'] ?? 300);
const EMAIL = { email: 'robot@example.com', email_verified: true };
let issuer: OidcIssuer;
let other: OidcIssuer;
const running: Issuers[] = [];

beforeAll(async () => {
  [issuer, other] = await Promise.all([startOidcIssuer(), startOidcIssuer()]);
});
afterAll(async () => {
  for (const issuers of running) await issuers.stop();
  await Promise.all([issuer.close(), other.close()]);
});

async function verifier(change: Partial<IssuerSpec> = {}): Promise<Verify> {
  const spec = issuerSpec({
    issuer: issuer.issuer,
    algorithms: ['RS256', 'ES256'],
    allowHttp: true,
    allowPrivateAddresses: true,
    ...change,
  });
  const issuers = new Issuers({
    specs: new Map([['main', spec]]),
    fetch: filteredFetch({ allowed: isPublicAddress }),
    fetchAnywhere: filteredFetch({ allowed: () => true }),
    clock,
    log: new FakeLog(),
  });
  running.push(issuers);
  const require = "claims.email == 'robot@example.com' && claims.email_verified == true";
  const deps = { issuers, secrets: nameIsValue, clock, expressions: createExpressions() };
  return compileVerify({ oidc: { issuer: 'main', audience: AUDIENCE, require } }, deps);
}

async function present(token: string, verify: Verify): Promise<VerifyResult> {
  return verify({ headers: new Headers({ authorization: `Bearer ${token}` }), body: new Uint8Array(0) });
}

/** Header, claims and signing key of a token of the real issuer. */
async function goodParts() {
  const token = await issuer.token({ audience: AUDIENCE, claims: EMAIL });
  const [head = '', payload = ''] = token.split('.');
  const parse = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as JsonObject;
  const jwk = issuer.keys.find(({ alg }) => alg === 'RS256');
  if (jwk === undefined) throw new TypeError('the issuer has an RS256 key');
  return {
    token,
    header: parse(head),
    claims: parse(payload),
    key: createPrivateKey({ key: jwk, format: 'jwk' }),
  };
}

test.each(['RS256', 'ES256'] as const)('a good %s token passes, with its claims', async (algorithm) => {
  const token = await issuer.token({ audience: AUDIENCE, claims: EMAIL, algorithm });
  const result = await present(token, await verifier());
  expect(result).toMatchObject({
    ok: true,
    claims: { iss: issuer.issuer, aud: AUDIENCE, sub: 'caller', ...EMAIL },
  });
});

test('keys are read once for many tokens', async () => {
  const verify = await verifier();
  const before = issuer.requests.length;
  for (let i = 0; i < 20; i++) {
    const token = await issuer.token({
      audience: AUDIENCE,
      claims: EMAIL,
      algorithm: i % 2 === 0 ? 'RS256' : 'ES256',
    });
    expect((await present(token, verify)).ok).toBe(true);
  }
  const reads = issuer.requests.slice(before).filter((line) => !line.startsWith('POST'));
  expect(reads).toEqual(['GET /.well-known/openid-configuration', 'GET /jwks']);
});

describe('refused', () => {
  test('another issuer', async () => {
    const token = await other.token({ audience: AUDIENCE, claims: EMAIL });
    expect(await present(token, await verifier())).toMatchObject({
      ok: false,
      reason: expect.stringContaining('iss'),
    });
  });
  test('another issuer that claims to be ours: its key is not ours', async () => {
    const token = await other.token({ audience: AUDIENCE, claims: { ...EMAIL, iss: issuer.issuer } });
    expect(await present(token, await verifier())).toMatchObject({
      ok: false,
      reason: expect.stringContaining('key'),
    });
  });
  test('another audience', async () => {
    const token = await issuer.token({ audience: `${AUDIENCE}/other`, claims: EMAIL });
    expect(await present(token, await verifier())).toMatchObject({
      ok: false,
      reason: expect.stringContaining('aud'),
    });
  });
  test('another algorithm of the same issuer', async () => {
    const token = await issuer.token({ audience: AUDIENCE, claims: EMAIL, algorithm: 'ES256' });
    const verify = await verifier({ algorithms: ['RS256'] });
    expect(await present(token, verify)).toMatchObject({ ok: false, reason: expect.stringContaining('alg') });
  });
  test('expired', async () => {
    const now = Math.floor(Date.now() / 1000);
    const token = await issuer.token({
      audience: AUDIENCE,
      claims: { ...EMAIL, iat: now - 600, exp: now - 60 },
    });
    expect(await present(token, await verifier())).toMatchObject({
      ok: false,
      reason: expect.stringContaining('expired'),
    });
  });
  test('another sender', async () => {
    const token = await issuer.token({ audience: AUDIENCE, claims: { ...EMAIL, email: 'x@example.com' } });
    expect(await present(token, await verifier())).toMatchObject({
      ok: false,
      reason: expect.stringContaining('require'),
    });
  });
  test('a sender whose address is not verified', async () => {
    const token = await issuer.token({ audience: AUDIENCE, claims: { ...EMAIL, email_verified: 'true' } });
    expect((await present(token, await verifier())).ok).toBe(false);
  });
  test('another key under the kid of ours', async () => {
    const { header, claims } = await goodParts();
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const token = signRaw(JSON.stringify(header), JSON.stringify(claims), 'RS256', privateKey);
    expect(await present(token, await verifier())).toEqual({ ok: false, reason: 'wrong signature' });
  });
  test('none, with and without the signature', async () => {
    const { token, header, claims } = await goodParts();
    const unsigned = `${encode({ ...header, alg: 'none' })}.${encode(claims)}`;
    const verify = await verifier();
    expect((await present(`${unsigned}.`, verify)).ok).toBe(false);
    expect((await present(`${unsigned}.${token.split('.')[2] ?? ''}`, verify)).ok).toBe(false);
  });
  test.each(['pem', 'der'] as const)('HS256 with the public key as %s', async (format) => {
    const { header, claims, key } = await goodParts();
    const secret = createPublicKey(key).export({ type: 'spki', format: format as 'pem' });
    const text = `${encode({ ...header, alg: 'HS256' })}.${encode(claims)}`;
    const token = `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
    expect((await present(token, await verifier())).ok).toBe(false);
    // The same claims signed by the issuer's own key pass: only the algorithm was wrong.
    const good = signRaw(JSON.stringify(header), JSON.stringify(claims), 'RS256', key);
    expect((await present(good, await verifier())).ok).toBe(true);
  });
});

test('a refused token is answered 401 over HTTP and leaves nothing in the store', async () => {
  const folder = new ConfigFolder();
  const config = folder.write('tappet.json', {
    server: { port: 0, dataDir: 'data' },
    issuers: { main: { issuer: issuer.issuer, allowHttp: true } },
    jobs: { hello: { image: 'busybox' } },
    triggers: {
      call: {
        source: {
          kind: 'webhook',
          auth: { oidc: { issuer: 'main', audience: AUDIENCE, emails: ['robot@example.com'] } },
        },
        run: { job: 'hello' },
      },
    },
  });
  // No engine: an event is stored and decided without one.
  const env = { DOCKER_HOST: 'tcp://127.0.0.1:1' };
  const gateway = await startGateway({ configPath: config, env, print: () => undefined });
  try {
    const token = await readFile(`${folder.path}/data/token`, 'utf8');
    const client = createClient({ url: gateway.url, token: token.trim() });
    const send = async (bearer: string): Promise<number> => {
      const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' };
      return (await fetch(`${gateway.url}/hooks/call`, { method: 'POST', headers, body: '{}' })).status;
    };
    const { header, claims } = await goodParts();
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const bad = [
      await other.token({ audience: AUDIENCE, claims: EMAIL }),
      await issuer.token({ audience: `${AUDIENCE}/other`, claims: EMAIL }),
      await issuer.token({ audience: AUDIENCE, claims: { email: 'x@example.com' } }),
      signRaw(JSON.stringify(header), JSON.stringify(claims), 'RS256', privateKey),
      `${encode({ ...header, alg: 'none' })}.${encode(claims)}.`,
    ];
    for (const one of bad) expect(await send(one)).toBe(401);
    expect((await client.events.list({})).events).toEqual([]);
    expect((await client.executions.list({})).executions).toEqual([]);
    expect(await send(await issuer.token({ audience: AUDIENCE, claims: EMAIL }))).toBe(202);
    expect((await client.events.list({})).events).toHaveLength(1);
  } finally {
    await gateway.stop();
    folder.remove();
  }
});

test('keys are rotated twice under load: every token is taken, with one read each time', async () => {
  const rotating = await startOidcIssuer();
  try {
    const verify = await verifier({ issuer: rotating.issuer });
    const kids = new Set<unknown>();
    const refused: VerifyResult[] = [];
    let calls = 0;
    const caller = async (algorithm: 'RS256' | 'ES256'): Promise<void> => {
      while (calls < ROTATION_CALLS) {
        calls++;
        // Between two awaits, so that tokens of the old keys are on their way.
        if (calls === Math.floor(ROTATION_CALLS / 3) || calls === Math.floor((2 * ROTATION_CALLS) / 3))
          rotating.rotate();
        const token = await rotating.token({ audience: AUDIENCE, claims: EMAIL, algorithm });
        kids.add(
          (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as JsonObject)['kid'],
        );
        const result = await present(token, verify);
        if (result.ok !== true) refused.push(result);
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, i) => caller(i % 2 === 0 ? 'RS256' : 'ES256')));
    expect(refused).toEqual([]);
    expect(kids.size).toBe(6);
    expect(rotating.requests.filter((line) => line === 'GET /jwks')).toHaveLength(3);
  } finally {
    await rotating.close();
  }
}, 60_000);

test('an issuer that is away: unavailable, with a pause, rather than refused', async () => {
  const away = await startOidcIssuer();
  const verify = await verifier({ issuer: away.issuer });
  const token = await away.token({ audience: AUDIENCE, claims: EMAIL });
  await away.close();
  expect(await present(token, verify)).toMatchObject({ ok: 'unavailable', retryAfter: 1 });
});
