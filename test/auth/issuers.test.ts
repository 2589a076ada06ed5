import { expect, test } from 'vitest';
import { Issuers } from '../../src/auth/issuers.ts';
import { compileVerify } from '../../src/auth/verify.ts';
import type { IssuerSpec } from '../../src/core/auth.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { FakeLog } from '../support/fake-log.ts';
import { AUDIENCE, ISSUER, issuerSpec, nameIsValue } from '../support/issuer-spec.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { makeKey, signRaw } from '../support/tokens.ts';

const key = makeKey('ES256', 'one');
const HOUR = 60 * 60_000;

function make(specs: Readonly<Record<string, Partial<IssuerSpec>>>) {
  const asked: string[] = [];
  const clock = new ManualClock();
  const fetch = async (url: string): Promise<Response> => {
    asked.push(url);
    return Response.json({ issuer: ISSUER, jwks_uri: `${ISSUER}/keys`, keys: [key.jwk] });
  };
  const all = new Map(Object.entries(specs).map(([name, change]) => [name, issuerSpec(change)]));
  return { issuers: new Issuers({ specs: all, fetch, clock, log: new FakeLog() }), asked, clock };
}

test('triggers of one issuer share its keys; compiling opens no connection', async () => {
  const { issuers, asked } = make({ main: {}, unused: { issuer: 'https://unused.example' } });
  expect(await issuers.get('main')).toBe(await issuers.get('main'));
  await settle();
  expect(asked).toEqual([]);
  await issuers.start();
  await settle();
  expect(asked).toEqual([`${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/keys`]);
});

test('stop is legal before start, and twice, and leaves no timer', async () => {
  const { issuers, clock } = make({ main: {} });
  await issuers.get('main');
  await issuers.stop();
  await issuers.start();
  await issuers.stop();
  expect(clock.pending).toBe(0);
});

test('aborting the signal of start stops', async () => {
  const { issuers, clock } = make({ main: {} });
  await issuers.get('main');
  const abort = new AbortController();
  await issuers.start(abort.signal);
  await settle();
  expect(clock.pending).toBe(1);
  abort.abort();
  await settle();
  expect(clock.pending).toBe(0);
});

test.each<[string, Partial<IssuerSpec>, RegExp]>([
  ['a shared-secret algorithm', { algorithms: ['HS256'] }, /issuers\.main\.algorithms.*HS256/],
  ['none', { algorithms: ['RS256', 'none'] }, /none/],
  ['no algorithm', { algorithms: [] }, /algorithms/],
  ['plain http', { issuer: 'http://issuer.example' }, /allowHttp/],
  ['a jwks url of plain http', { jwks: { url: 'http://issuer.example/keys' } }, /issuers\.main\.jwks\.url/],
  ['pinned keys of which none fits', { algorithms: ['RS256'], jwks: { keys: [key.jwk] } }, /no usable key/],
  ['a private key pinned', { jwks: { keys: [key.jwk, { ...key.jwk, d: 'AQAB' }] } }, /keys\[1\].*private/],
])('refuses %s', async (_name, change, message) => {
  const { issuers } = make({ main: change });
  const refused = issuers.get('main');
  await expect(refused).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await expect(refused).rejects.toThrow(message);
});

test('an issuer that is not configured is an error of the configuration', async () => {
  await expect(make({}).issuers.get('main')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test('a reload keeps the keys of what is the same, and nothing changes before it applies', async () => {
  const { issuers, asked, clock } = make({ main: {}, other: { algorithms: ['ES256'] } });
  const main = await issuers.get('main');
  const other = await issuers.get('other');
  await issuers.start();
  await settle();
  asked.length = 0;
  const specs = new Map([
    ['main', issuerSpec()],
    ['other', issuerSpec({ algorithms: ['ES256', 'RS256'] })],
  ]);
  const next = issuers.prepare(specs);
  expect(await next.get('main')).toBe(main);
  const changed = await next.get('other');
  expect(changed).not.toBe(other);
  expect(await next.get('other')).toBe(changed);
  expect(await issuers.get('other')).toBe(other);
  await settle();
  expect([asked.length, clock.pending]).toEqual([0, 2]);
  const applied = next.apply();
  expect(await issuers.get('other')).toBe(changed);
  await applied;
  await settle();
  // Of the changed one alone.
  expect(asked).toHaveLength(2);
  expect(clock.pending).toBe(2);
  await issuers.prepare(new Map()).apply();
  expect(clock.pending).toBe(0);
  await expect(issuers.get('main')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test.each<Partial<IssuerSpec>>([{ skewMs: 1 }, { maxLifetimeMs: HOUR }, { maxKeyAgeMs: 2 * HOUR }])(
  'a reload that only changes which tokens count, or for how long keys do, keeps the keys: %j',
  async (change) => {
    const { issuers, asked, clock } = make({ main: { maxKeyAgeMs: HOUR } });
    const main = await issuers.get('main');
    await issuers.start();
    await settle();
    const spec = issuerSpec({ maxKeyAgeMs: HOUR, ...change });
    const next = issuers.prepare(new Map([['main', spec]]));
    const changed = await next.get('main');
    expect([changed.spec, changed.keys]).toEqual([spec, main.keys]);
    expect(main.spec).toEqual(issuerSpec({ maxKeyAgeMs: HOUR }));
    clock.set(clock.now() + HOUR);
    expect(changed.keys.lookup('one', 'ES256')).toMatchObject({ state: 'found' });
    // What is not applied does not count.
    clock.set(clock.now() + 1);
    expect(await main.keys.lookup('one', 'ES256')).toMatchObject({ state: 'found' });
    expect(asked).toHaveLength(3);
    await next.apply();
    clock.set(clock.now() + spec.maxKeyAgeMs);
    expect(main.keys.lookup('one', 'ES256')).toMatchObject({ state: 'found' });
    expect([asked.length, clock.pending]).toEqual([3, 1]);
    await issuers.stop();
    expect(clock.pending).toBe(0);
  },
);

test('a reload before the start reads no keys before it either', async () => {
  const { issuers, asked } = make({});
  const next = issuers.prepare(new Map([['main', issuerSpec()]]));
  await next.get('main');
  await next.apply();
  await settle();
  expect(asked).toEqual([]);
  await issuers.start();
  await settle();
  expect(asked).toHaveLength(2);
});

test('a reload with an unusable issuer is refused and changes nothing; none begins after a stop', async () => {
  const { issuers, clock } = make({ main: {} });
  const main = await issuers.get('main');
  await issuers.start();
  await settle();
  const bad = issuers.prepare(new Map([['main', issuerSpec({ algorithms: ['none'] })]]));
  await expect(bad.get('main')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  expect(await issuers.get('main')).toBe(main);
  const next = issuers.prepare(new Map([['main', issuerSpec({ algorithms: ['ES256'] })]]));
  await next.get('main');
  const applied = next.apply();
  await issuers.stop();
  await applied;
  await settle();
  expect(clock.pending).toBe(0);
});

test('when no key was ever read the answer is unavailable, only to a token that is meant for this trigger', async () => {
  const clock = new ManualClock();
  const fetch = () => Promise.reject(new Error('unreachable'));
  const issuers = new Issuers({ specs: new Map([['main', issuerSpec()]]), fetch, clock, log: new FakeLog() });
  const oidc = { issuer: 'main', audience: AUDIENCE, require: 'claims.sub == "x"' };
  const verify = await compileVerify(
    { oidc },
    { issuers, secrets: nameIsValue, clock, expressions: createExpressions() },
  );
  const now = clock.now() / 1000;
  const present = (aud: string) => {
    const claims = JSON.stringify({ iss: ISSUER, aud, sub: 'x', iat: now, exp: now + 60 });
    const token = signRaw('{"alg":"ES256","kid":"one"}', claims, 'ES256', key.privateKey);
    return verify({ headers: new Headers({ authorization: `Bearer ${token}` }), body: new Uint8Array(0) });
  };
  expect(await present(AUDIENCE)).toEqual({
    ok: 'unavailable',
    reason: expect.stringContaining('unreachable'),
    retryAfter: 1,
  });
  expect((await present('https://other.example')).ok).toBe(false);
});
