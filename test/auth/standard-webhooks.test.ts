import { generateKeyPairSync, sign as signEd25519, type KeyObject } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { compileVerify } from '../../src/auth/verify.ts';
import type { VerifyResult } from '../../src/core/auth.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { nameIsValue } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';

const clock = new ManualClock('2026-06-01T12:00:00Z');
const NOW = Math.floor(clock.now() / 1000);
const issuers = { get: () => Promise.reject(new Error('no issuers here')) };
const deps = { issuers, secrets: nameIsValue, clock, expressions: createExpressions() };

const KEY = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const SECRET = `whsec_${KEY}`;
const ID = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
const BODY = '{"test": 2432232314}';

type Headers_ = Record<string, string>;
const signed = (id: string, time: number): Headers_ => ({
  'webhook-id': id,
  'webhook-timestamp': String(time),
  'webhook-signature': new Webhook(SECRET).sign(id, new Date(time * 1000), BODY),
});
const GOOD = signed(ID, NOW);

const compile = (...secrets: readonly string[]) =>
  compileVerify(
    {
      hmac: {
        scheme: 'standard-webhooks',
        toleranceMs: 300_000,
        secrets: secrets.map((env) => ({ env })),
      },
    },
    deps,
  );
async function check(
  headers: Headers_,
  secrets: readonly string[] = [SECRET],
  body: string | Uint8Array = BODY,
): Promise<VerifyResult['ok']> {
  const verify = await compile(...secrets);
  return (await verify({ headers: new Headers(headers), body: Buffer.from(body) })).ok;
}
const less = (name: string): Headers_ =>
  Object.fromEntries(Object.entries(GOOD).filter(([header]) => header !== name));
const signature = (value: string): Headers_ => ({ ...GOOD, 'webhook-signature': value });
const OTHER = 'Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=';

describe("the cases of the standard's own library", () => {
  test('an empty secret is an error', async () => {
    await expect(compile('whsec_')).rejects.toMatchObject({ code: 'SECRET_UNREADABLE' });
  });
  test('no secret is an error', async () => {
    await expect(compile()).rejects.toMatchObject({ code: 'SECRET_UNREADABLE' });
  });
  test.each<[string, Headers_]>([
    ['no id', less('webhook-id')],
    ['no time', less('webhook-timestamp')],
    ['a time that is none', { ...GOOD, 'webhook-timestamp': 'hello' }],
    ['no signature', less('webhook-signature')],
    ['a wrong signature', signature('v1,dawfeoifkpqwoekfpqoekf')],
    ['the start of the signature', signature(GOOD['webhook-signature']?.slice(0, 8) ?? '')],
    ['a signature of nothing but its version', signature('v1,')],
    ['a time too far back', signed(ID, NOW - 301)],
    ['a time too far ahead', signed(ID, NOW + 301)],
  ])('refuses %s', async (_what, headers) => {
    expect(await check(headers)).toBe(false);
  });
  test('lets in a right signature', async () => {
    expect(await check(GOOD)).toBe(true);
  });
  test('lets in the secret with and without its prefix', async () => {
    expect(await check(GOOD, [KEY])).toBe(true);
  });
  test('lets in several signatures, one of them right, in any place', async () => {
    const right = GOOD['webhook-signature'] ?? '';
    for (const list of [
      [`v1,${OTHER}`, `v2,${OTHER}`, right, `v1,${OTHER}`],
      [right, `v1,${OTHER}`],
    ]) {
      expect(await check(signature(list.join(' ')))).toBe(true);
    }
  });
  test('lets in as many signatures as a sender may make', async () => {
    const list = [...Array<string>(7).fill(`v1,${OTHER}`), GOOD['webhook-signature'] ?? ''];
    expect(await check(signature(list.join(' ')))).toBe(true);
    expect(await check(signature([`v1,${OTHER}`, ...list].join(' ')))).toBe(false);
  });
  test('computes the signature that the library publishes', async () => {
    const own = { ...deps, clock: new ManualClock(new Date(1614265330 * 1000).toISOString()) };
    const hmac = { scheme: 'standard-webhooks', toleranceMs: 1000, secret: { env: SECRET } } as const;
    const verify = await compileVerify({ hmac }, own);
    const headers = new Headers({
      'webhook-id': ID,
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
    expect(await verify({ headers, body: Buffer.from(BODY) })).toEqual({
      ok: true,
      claims: {},
      covers: 'body',
      id: ID,
    });
  });
});

describe('what the library lets pass is refused', () => {
  test.each<[string, Headers_]>([
    ['a time with letters after it', { ...GOOD, 'webhook-timestamp': `${NOW}abc` }],
    ['a time with a sign', { ...GOOD, 'webhook-timestamp': `+${NOW}` }],
    ['a time with a fraction', { ...GOOD, 'webhook-timestamp': `${NOW}.0` }],
    ['a time with a zero in front', { ...GOOD, 'webhook-timestamp': `0${NOW}` }],
    // The signed text is `a.1.<time>.…`: whoever moves a dot would have it mean something else.
    ['an id with a full stop', signed('a.1', NOW)],
    ['an id with a space', signed('a b', NOW)],
    ['an id of two headers', signed('a, b', NOW)],
    ['more signatures than any sender makes', signature(Array(9).fill(GOOD['webhook-signature']).join(' '))],
    ['its headers under two names', { ...less('webhook-id'), 'svix-id': ID }],
  ])('%s', async (_what, headers) => {
    expect(await check(headers)).toBe(false);
  });
});

test('headers under both names count by the name of the standard alone, as do none at all', async () => {
  const svix = { 'svix-id': 'msg_2', 'svix-timestamp': String(NOW), 'svix-signature': `v1,${OTHER}` };
  const verify = await compile(SECRET);
  const body = Buffer.from(BODY);
  const both = await verify({ headers: new Headers({ ...GOOD, ...svix }), body });
  expect(both).toMatchObject({ ok: true, id: ID });
  const renamed = Object.entries(GOOD).map(([name, value]) => [name.replace('webhook', 'svix'), value]);
  const moved: Headers_ = { ...Object.fromEntries(renamed), 'webhook-signature': `v1,${OTHER}` };
  expect(await verify({ headers: new Headers(moved), body })).toMatchObject({ ok: false });
  expect(await verify({ headers: new Headers(), body })).toEqual({
    ok: false,
    reason: 'webhook-id is missing, or holds a full stop, a comma or a space',
  });
});

describe('v1a, by Ed25519', () => {
  const pair = generateKeyPairSync('ed25519');
  const raw = (key: KeyObject): Buffer => Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');
  const PUBLIC = `whpk_${raw(pair.publicKey).toString('base64')}`;
  const other = generateKeyPairSync('ed25519');
  const make = (key: KeyObject, body: string = BODY, time = NOW, id = ID): string =>
    `v1a,${signEd25519(null, Buffer.from(`${id}.${time}.${body}`), key).toString('base64')}`;

  test('lets in the holder of the private key, and says which id was signed', async () => {
    const verify = await compile(PUBLIC);
    const headers = new Headers(signature(make(pair.privateKey)));
    expect(await verify({ headers, body: Buffer.from(BODY) })).toEqual({
      ok: true,
      claims: {},
      covers: 'body',
      id: ID,
    });
  });
  test.each<[string, string]>([
    ['another key', make(other.privateKey)],
    ['another body', make(pair.privateKey, `${BODY} `)],
    ['another time', make(pair.privateKey, BODY, NOW - 1)],
    ['another id', make(pair.privateKey, BODY, NOW, 'msg_2')],
    ['the signature as v1', make(pair.privateKey).replace('v1a,', 'v1,')],
    ['a signature cut short', make(pair.privateKey).slice(0, -4)],
    ['nothing', 'v1a,'],
    // What the library would take for the secret of v1 is known to everyone.
    [
      'an HMAC by the public key',
      new Webhook(raw(pair.publicKey), { format: 'raw' }).sign(ID, new Date(NOW * 1000), BODY),
    ],
  ])('refuses %s', async (_what, value) => {
    expect(await check(signature(value), [PUBLIC])).toBe(false);
  });
  test('stands beside v1: by either secret, and while keys are exchanged', async () => {
    const both = [SECRET, PUBLIC];
    expect(await check(GOOD, both)).toBe(true);
    expect(await check(signature(make(pair.privateKey)), both)).toBe(true);
    expect(await check(signature(make(other.privateKey)), both)).toBe(false);
    const next = `whpk_${raw(other.publicKey).toString('base64')}`;
    const list = signature(`v1,${OTHER} ${make(pair.privateKey)} ${make(other.privateKey)}`);
    for (const keys of [[PUBLIC], [next], [next, PUBLIC]]) expect(await check(list, keys)).toBe(true);
  });
  test('is dear to check, before anything is known of who calls: only the first two signatures are', async () => {
    const [right, wrong] = [make(pair.privateKey), make(other.privateKey)];
    expect(await check(signature(`${wrong} ${right}`), [PUBLIC])).toBe(true);
    expect(await check(signature(`${wrong} ${wrong} ${right}`), [PUBLIC])).toBe(false);
    // Those of another form or version are none of the two.
    expect(await check(signature(`v1a,AA== v1,${OTHER} v2,x ${wrong} ${right}`), [PUBLIC])).toBe(true);
  });

  test.each([
    ['whpk_', 'is not an Ed25519 public key'],
    [`whpk_${Buffer.alloc(31, 1).toString('base64')}`, 'is not an Ed25519 public key'],
    ['whpk_ not base64', 'is not an Ed25519 public key'],
    [`whsk_${Buffer.alloc(64, 1).toString('base64')}`, "is the sender's private key"],
    ['whsec_ä', 'is not a Standard Webhooks secret'],
    ['plain text', 'is not a Standard Webhooks secret'],
    [`whsec_${Buffer.alloc(15, 1).toString('base64')}`, 'is shorter than 16 bytes'],
  ])('the key %j is refused at once', async (key, why) => {
    await expect(compile(key)).rejects.toThrow(why);
  });
});
