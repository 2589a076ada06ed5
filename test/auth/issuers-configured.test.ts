import { describe, expect, test } from 'vitest';
import { Issuers } from '../../src/auth/issuers.ts';
import type { IssuerSpec } from '../../src/core/auth.ts';
import { FakeLog } from '../support/fake-log.ts';
import { ISSUER, issuerSpec } from '../support/issuer-spec.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { makeKey } from '../support/tokens.ts';

const key = makeKey('ES256', 'one');
const KNOWN = 'RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519';

/** `asked` holds what was asked by the way that leads to public addresses, `anywhere` by the other one. */
function make(change: Partial<IssuerSpec>, ways: 'both' | 'public' = 'both') {
  const asked: string[] = [];
  const anywhere: string[] = [];
  const through = (list: string[]) => async (url: string) => {
    list.push(url);
    return Response.json({ issuer: ISSUER, jwks_uri: `${ISSUER}/keys`, keys: [key.jwk] });
  };
  const issuers = new Issuers({
    specs: new Map([['main', issuerSpec(change)]]),
    fetch: through(asked),
    ...(ways === 'both' ? { fetchAnywhere: through(anywhere) } : {}),
    clock: new ManualClock(),
    log: new FakeLog(),
  });
  return { issuers, asked, anywhere };
}

describe('keys are asked for', () => {
  const both = [`${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/keys`];
  test('at public addresses alone, unless the issuer is allowed others', async () => {
    const { issuers, asked, anywhere } = make({});
    await issuers.get('main');
    await issuers.start();
    await settle();
    expect([asked, anywhere]).toEqual([both, []]);
  });
  test('anywhere where it is', async () => {
    const { issuers, asked, anywhere } = make({ allowPrivateAddresses: true });
    await issuers.get('main');
    await issuers.start();
    await settle();
    expect([asked, anywhere]).toEqual([[], both]);
  });
  test('at public addresses where there is no other way', async () => {
    const { issuers, asked } = make({ allowPrivateAddresses: true }, 'public');
    await issuers.get('main');
    await issuers.start();
    await settle();
    expect(asked).toEqual(both);
  });
  test('at the one place that is configured', async () => {
    const { issuers, asked } = make({ jwks: { url: `${ISSUER}/own` } });
    await issuers.get('main');
    await issuers.start();
    await settle();
    expect(asked).toEqual([`${ISSUER}/own`]);
  });
  test('by nobody who is told to stop before the start', async () => {
    const { issuers, asked } = make({});
    await issuers.get('main');
    await issuers.start(AbortSignal.abort());
    await settle();
    expect(asked).toEqual([]);
  });
  test('nowhere where they are pinned, which start and stop leave as they are', async () => {
    const { issuers, asked, anywhere } = make({ jwks: { keys: [key.jwk] }, allowPrivateAddresses: true });
    const { keys } = await issuers.get('main');
    await issuers.start();
    keys.keepFor(0);
    await issuers.stop();
    expect(keys.lookup('one', 'ES256')).toMatchObject({ state: 'found', key: { kid: 'one' } });
    expect(keys.lookup(undefined, 'ES256')).toMatchObject({ state: 'found', key: { kid: 'one' } });
    expect(keys.lookup('two', 'ES256')).toEqual({ state: 'unknown' });
    expect(keys.lookup('one', 'RS256')).toEqual({ state: 'unknown' });
    expect([asked, anywhere]).toEqual([[], []]);
  });
});

const plain = (url: string): string =>
  `${url} is not https; allowHttp: true permits plain http for an issuer in a closed network`;

test.each<[string, Partial<IssuerSpec>, string]>([
  [
    'issuers.main.algorithms',
    { algorithms: ['RS256', 'HS256', 'none'] },
    `choose from ${KNOWN} (found: HS256, none)`,
  ],
  ['issuers.main.algorithms', { algorithms: [] }, `choose from ${KNOWN} (found: )`],
  ['issuers.main', { issuer: 'http://issuer.example' }, plain('http://issuer.example')],
  ['issuers.main.jwks.url', { jwks: { url: 'http://a.example/k' } }, plain('http://a.example/k')],
  ['issuers.main.jwks', { jwks: { keys: [] } }, 'the key set has no usable key'],
  [
    'issuers.main.jwks.keys[1]',
    { jwks: { keys: [key.jwk, { ...key.jwk, d: 'AQAB' }] } },
    'it holds private parts',
  ],
])('a mistake at %s is told with its place: %j', async (path, change, message) => {
  const { issuers } = make(change);
  await expect(issuers.get('main')).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: `${path}: ${message}`,
    fields: { path, errors: [{ path, message }] },
  });
});

test('an issuer that nobody has configured is told with its place', async () => {
  const message = 'there is no issuer named other';
  await expect(make({}).issuers.get('other')).rejects.toMatchObject({
    message: `issuers.other: ${message}`,
    fields: { path: 'issuers.other', errors: [{ path: 'issuers.other', message }] },
  });
});

test('one issuer that cannot be used keeps no other from its keys', async () => {
  const { issuers, asked } = make({});
  await issuers.get('other').catch(() => undefined);
  await issuers.get('main');
  await issuers.start();
  await settle();
  expect(asked).toHaveLength(2);
  await issuers.stop();
});

test.each<Partial<IssuerSpec>>([{}, { skewMs: 1 }, { algorithms: ['ES256'] }])(
  'a reload may put an issuer to use that nobody has used before: %j',
  async (change) => {
    const { issuers } = make({});
    const next = issuers.prepare(new Map([['main', issuerSpec(change)]]));
    expect((await next.get('main')).spec).toEqual(issuerSpec(change));
  },
);
