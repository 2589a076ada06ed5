import { describe, expect, test } from 'vitest';
import { Issuers } from '../../src/auth/issuers.ts';
import { compileVerify } from '../../src/auth/verify.ts';
import type { IssuerSpec, Verify, VerifyResult } from '../../src/core/auth.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { FakeLog } from '../support/fake-log.ts';
import { AUDIENCE, ISSUER, issuerSpec, nameIsValue } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';
import {
  attacksOn,
  claims,
  good,
  goodClaims,
  header,
  partsOf,
  signed,
  type Forge,
  type Parts,
} from '../support/token-attacks.ts';
import { ALGS, makeKeys, type Alg, type TestKey } from '../support/tokens.ts';

const clock = new ManualClock('2026-06-01T12:00:00Z');
const NOW = clock.now() / 1000;
const keys = makeKeys();
const connections: string[] = [];

function keyOf(alg: Alg): TestKey {
  const key = keys.get(alg);
  if (key === undefined) throw new TypeError(alg);
  return key;
}

async function verifier(
  change: Partial<IssuerSpec> = {},
  require = 'claims.email == "a@b.example"',
): Promise<Verify> {
  const spec = issuerSpec({ jwks: { keys: [...keys.values()].map((key) => key.jwk) }, ...change });
  const fetch = async (url: string): Promise<Response> => {
    connections.push(url);
    throw new Error('no network here');
  };
  const issuers = new Issuers({ specs: new Map([['main', spec]]), fetch, clock, log: new FakeLog() });
  const oidc = { issuer: 'main', audience: AUDIENCE, require };
  return compileVerify({ oidc }, { issuers, secrets: nameIsValue, clock, expressions: createExpressions() });
}

const verify = await verifier();

function present(token: string, check = verify): Promise<VerifyResult> {
  return check({ headers: new Headers({ authorization: `Bearer ${token}` }), body: new Uint8Array(0) });
}

const TARGET = { issuer: ISSUER, audience: AUDIENCE, now: NOW, canary: 'http://127.0.0.1:1' };
const CLAIMS = goodClaims(TARGET);
const ATTACKS = attacksOn(TARGET);
const parts = (key: TestKey): Parts => partsOf(key, TARGET);

describe.each(ALGS)('tokens signed with %s', (alg) => {
  const key = keyOf(alg);

  test('a good token passes with its claims', async () => {
    expect(await present(good(key, parts(key)))).toEqual({ ok: true, claims: CLAIMS });
  });

  test.each(Object.entries(ATTACKS))('refuses: %s', async (_name, forge) => {
    const result = await present(forge(key, parts(key)));
    expect(result.ok).toBe(false);
  });

  test.each<[string, Forge]>([
    ['typ at+jwt', header({ typ: 'at+jwt' })],
    ['typ in lower case', header({ typ: 'jwt' })],
    ['no typ', signed((p) => void delete p.header['typ'])],
    ['no kid where one key fits', signed((p) => void delete p.header['kid'])],
    ['several audiences', claims({ aud: ['https://other.example', AUDIENCE] })],
    ['expired within the skew', claims({ exp: NOW - 29, iat: NOW - 100 })],
    ['issued within the skew', claims({ iat: NOW + 29 })],
    ['nbf past', claims({ nbf: NOW })],
    ['times with fractions', claims({ iat: NOW - 0.5, exp: NOW + 60.25 })],
  ])('accepts: %s', async (_name, forge) => {
    expect((await present(forge(key, parts(key)))).ok).toBe(true);
  });
});

test('no attack opened a connection', () => {
  expect(connections).toEqual([]);
});

test('there are at least 60 attacks for each algorithm', () => {
  expect(Object.keys(ATTACKS).length).toBeGreaterThanOrEqual(60);
});

describe('the Authorization header', () => {
  const token = good(keyOf('ES256'), parts(keyOf('ES256')));
  test.each([
    ['absent', undefined],
    ['empty', ''],
    ['Basic', `Basic ${token}`],
    ['no scheme', token],
    ['two tokens', `Bearer ${token}, Bearer ${token}`],
    ['two words', `Bearer ${token} x`],
  ])('refuses: %s', async (_name, value) => {
    const headers = new Headers(value === undefined ? {} : { authorization: value });
    expect((await verify({ headers, body: new Uint8Array(0) })).ok).toBe(false);
  });

  test('the scheme may be in any case', async () => {
    const headers = new Headers({ authorization: `bearer ${token}` });
    expect((await verify({ headers, body: new Uint8Array(0) })).ok).toBe(true);
  });
});

test('a token that was good is refused once its time is over, also on a clock set back before its time', async () => {
  const own = new ManualClock(clock.now());
  const issuers = new Issuers({
    specs: new Map([['main', issuerSpec({ jwks: { keys: [keyOf('RS256').jwk] }, algorithms: ['RS256'] })]]),
    fetch: () => Promise.reject(new Error('no network here')),
    clock: own,
    log: new FakeLog(),
  });
  const deps = { issuers, secrets: nameIsValue, clock: own, expressions: createExpressions() };
  const check = await compileVerify(
    { oidc: { issuer: 'main', audience: [AUDIENCE], require: 'claims.sub == "caller"' } },
    deps,
  );
  const token = good(keyOf('RS256'), parts(keyOf('RS256')));
  expect((await present(token, check)).ok).toBe(true);
  own.set((NOW + 631) * 1000);
  expect((await present(token, check)).ok).toBe(false);
  own.set((NOW - 60) * 1000);
  expect((await present(token, check)).ok).toBe(false);
});

test('an algorithm that the issuer does not list is refused although the key is there', async () => {
  const check = await verifier({ algorithms: ['ES256'], jwks: { keys: [keyOf('ES256').jwk] } });
  expect((await present(good(keyOf('RS256'), parts(keyOf('RS256'))), check)).ok).toBe(false);
  expect((await present(good(keyOf('ES256'), parts(keyOf('ES256'))), check)).ok).toBe(true);
});

test('require that cannot be evaluated refuses', async () => {
  const check = await verifier({}, 'claims.groups.exists(g, g == "x")');
  const result = await present(good(keyOf('ES256'), parts(keyOf('ES256'))), check);
  expect(result).toMatchObject({ ok: false });
});
