import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Issuers } from '../../src/auth/issuers.ts';
import { compileVerify } from '../../src/auth/verify.ts';
import type { AuthSpec, GenericHmac, VerifyResult } from '../../src/core/auth.ts';
import { TappetError } from '../../src/core/errors.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { FakeLog } from '../support/fake-log.ts';
import { issuerSpec, nameIsValue } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';

const clock = new ManualClock();
const fetch = () => Promise.reject(new Error('no network here'));
const issuers = new Issuers({ specs: new Map(), fetch, clock, log: new FakeLog() });
const deps = { issuers, secrets: nameIsValue, clock, expressions: createExpressions() };

async function check(
  auth: AuthSpec,
  headers: Record<string, string>,
  body: string | Uint8Array = '',
): Promise<VerifyResult['ok']> {
  const verify = await compileVerify(auth, deps);
  return (await verify({ headers: new Headers(headers), body: Buffer.from(body) })).ok;
}

// From GitHub's documentation of webhook signatures.
const SECRET = "It's a Secret to Everybody";
const BODY = 'Hello, World!';
const DIGEST = '757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';

function hmac(change: Partial<GenericHmac> = {}): AuthSpec {
  const spec = { header: 'x-hub-signature-256', prefix: 'sha256=', encoding: 'hex', ...change } as const;
  return { hmac: { secret: { env: SECRET }, ...spec } };
}
const digest = (body: string | Uint8Array, secret = SECRET): string =>
  createHmac('sha256', secret).update(body).digest('hex');

describe('HMAC-SHA256', () => {
  test("GitHub's published example passes, with empty claims", async () => {
    const verify = await compileVerify(hmac(), deps);
    const headers = new Headers({ 'X-Hub-Signature-256': `sha256=${DIGEST}` });
    expect(await verify({ headers, body: Buffer.from(BODY) })).toEqual({
      ok: true,
      claims: {},
      covers: 'body',
    });
  });

  test.each<[string, string | Uint8Array]>([
    ['empty', ''],
    ['with white space', ' { "a" : 1 }\r\n'],
    ['Unicode', '{"name":"Zoë 🚀"}'],
    ['bytes that are no UTF-8', new Uint8Array([0xff, 0xfe, 0x00, 0x80])],
  ])('signs the raw bytes: a body %s', async (_name, body) => {
    expect(await check(hmac(), { 'x-hub-signature-256': `sha256=${digest(body)}` }, body)).toBe(true);
  });

  test.each<[string, string | undefined]>([
    ['no header', undefined],
    ['an empty header', ''],
    ['only the prefix', 'sha256='],
    ['no prefix', DIGEST],
    ['another prefix', `sha1=${DIGEST}`],
    ['the prefix in upper case', `SHA256=${DIGEST}`],
    ['one digit changed', `sha256=${DIGEST.slice(0, -1)}8`],
    ['one digit short', `sha256=${DIGEST.slice(0, -1)}`],
    ['one byte short', `sha256=${DIGEST.slice(0, -2)}`],
    ['one byte more', `sha256=${DIGEST}00`],
    ['no hex', `sha256=${'z'.repeat(64)}`],
    ['hex, then none', `sha256=${DIGEST.slice(0, 62)}zz`],
    ['a space inside', `sha256= ${DIGEST}`],
    ['base64', `sha256=${Buffer.from(DIGEST, 'hex').toString('base64')}`],
    ['two signatures', `sha256=${DIGEST}, sha256=${DIGEST}`],
    ['another secret', `sha256=${digest(BODY, 'other')}`],
    ['an empty secret', `sha256=${digest(BODY, '')}`],
    ['another body', `sha256=${digest(`${BODY} `)}`],
  ])('refuses: %s', async (_name, value) => {
    expect(await check(hmac(), value === undefined ? {} : { 'x-hub-signature-256': value }, BODY)).toBe(
      false,
    );
  });

  test('hex in upper case is the same digest', async () => {
    expect(await check(hmac(), { 'x-hub-signature-256': `sha256=${DIGEST.toUpperCase()}` }, BODY)).toBe(true);
  });

  test('base64 and a header of its own, without prefix', async () => {
    const auth = hmac({ header: 'X-Signature', prefix: '', encoding: 'base64' });
    const value = Buffer.from(DIGEST, 'hex').toString('base64');
    expect(await check(auth, { 'x-signature': value }, BODY)).toBe(true);
    expect(await check(auth, { 'x-signature': value.replace(/=$/, '') }, BODY)).toBe(false);
    expect(await check(auth, { 'x-signature': DIGEST }, BODY)).toBe(false);
  });
});

describe('bearer', () => {
  const auth: AuthSpec = { bearer: { token: { env: 'the-right-token' } } };
  test('the token passes', async () => {
    expect(await check(auth, { authorization: 'Bearer the-right-token' })).toBe(true);
    expect(await check(auth, { authorization: 'bearer   the-right-token' })).toBe(true);
  });
  test.each([
    '',
    'Bearer',
    'Bearer ',
    'Bearer the-right-toke',
    'Bearer the-right-token2',
    'Bearer THE-RIGHT-TOKEN',
    'Basic the-right-token',
    'the-right-token',
    'Bearer the-right-token, Bearer the-right-token',
    'Bearer x the-right-token',
  ])('refuses %j', async (authorization) => {
    expect(await check(auth, { authorization })).toBe(false);
  });
  test('refuses a call without the header', async () => {
    expect(await check(auth, {})).toBe(false);
  });
});

test.each(['two words', 'a,b', 'schlüssel'])(
  'a bearer token that no header can carry (%s) is refused at once',
  async (env) => {
    await expect(compileVerify({ bearer: { token: { env } } }, deps)).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: expect.stringMatching(/^The token of a webhook holds spaces, commas or /) as unknown,
    });
  },
);

test('none lets everyone in, with empty claims', async () => {
  const verify = await compileVerify('none', deps);
  expect(await verify({ headers: new Headers(), body: new Uint8Array(0) })).toEqual({ ok: true, claims: {} });
});

test.each<[string, AuthSpec]>([
  ['hmac', hmac()],
  ['bearer', { bearer: { token: { env: 'x' } } }],
])('%s: a secret that cannot be read is an error, never "no check"', async (_name, auth) => {
  const secrets = { resolve: () => Promise.reject(new TappetError('SECRET_UNREADABLE', 'X is not set')) };
  await expect(compileVerify(auth, { ...deps, secrets })).rejects.toMatchObject({
    code: 'SECRET_UNREADABLE',
  });
});

test('an expression that is not valid is refused when it is compiled', async () => {
  const specs = new Map([['main', issuerSpec()]]);
  const own = { ...deps, issuers: new Issuers({ specs, fetch, clock, log: new FakeLog() }) };
  const oidc = { issuer: 'main', audience: 'a', require: 'claims.sub ==' };
  await expect(compileVerify({ oidc }, own)).rejects.toMatchObject({ code: 'EXPRESSION_INVALID' });
});
