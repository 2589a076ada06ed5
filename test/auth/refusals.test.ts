import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { anyEqual, exactBytes, secretComparer } from '../../src/auth/comparisons.ts';
import { timeProblem } from '../../src/auth/replay-window.ts';
import { compileVerify } from '../../src/auth/verify.ts';
import type { AuthSpec, VerifyRequest } from '../../src/core/auth.ts';
import { SecretValue } from '../../src/core/secrets.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { nameIsValue } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';

const clock = new ManualClock('2026-06-01T12:00:00Z');
const NOW = clock.now() / 1000;
const issuers = { get: () => Promise.reject(new Error('no issuers here')) };
const deps = { issuers, secrets: nameIsValue, clock, expressions: createExpressions() };
const BODY = Buffer.from('{}');
const secret = { env: 'the-secret-of-the-sender' };
const toleranceMs = 60_000;
const ZEROS = '0'.repeat(64);

const hmac = (text: string, encoding: 'hex' | 'base64' = 'hex', key: string | Buffer = secret.env): string =>
  createHmac('sha256', key).update(text).digest(encoding);

async function reasonOf(
  auth: AuthSpec,
  headers: Record<string, string>,
  from: Omit<VerifyRequest, 'headers' | 'body'> = {},
): Promise<string | undefined> {
  const verify = await compileVerify(auth, deps);
  const result = await verify({ headers: new Headers(headers), body: BODY, ...from });
  return result.ok === true ? undefined : result.reason;
}

const GENERIC: AuthSpec = { hmac: { header: 'x-sig', prefix: 'v0=', encoding: 'hex', secret } };
const TIMED: AuthSpec = {
  hmac: {
    header: 'x-sig',
    prefix: '',
    encoding: 'base64',
    timestamp: { header: 'x-time', signed: '{timestamp}:{body}', toleranceMs },
    secret,
  },
};
const STRIPE: AuthSpec = { hmac: { scheme: 'stripe', toleranceMs, secret } };
const stripe = (value: string) => ({ 'stripe-signature': value });
const KEY = Buffer.alloc(24, 1);
const STANDARD: AuthSpec = {
  hmac: { scheme: 'standard-webhooks', toleranceMs, secret: { env: `whsec_${KEY.toString('base64')}` } },
};
const standard = (change: Record<string, string>) => ({
  'webhook-id': 'a',
  'webhook-timestamp': String(NOW),
  'webhook-signature': `v1,${hmac(`a.${NOW}.{}`, 'base64', KEY)}`,
  ...change,
});
const BEARER: AuthSpec = { bearer: { token: secret } };
const GITLAB: AuthSpec = { gitlab: { token: secret } };
const BASIC: AuthSpec = { basic: { user: 'u', password: secret } };
const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
const CERTIFICATE: AuthSpec = { clientCertificate: { header: 'x-dn', proxies: ['::1'], subjects: ['CN=a'] } };
const proxy = { remoteAddress: '::1' };
const id = 'webhook-id is missing, or holds a full stop, a comma or a space';

test.each<[string, AuthSpec, Record<string, string>, Omit<VerifyRequest, 'headers' | 'body'>?]>([
  ['generic', GENERIC, { 'x-sig': `v0=${hmac('{}')}` }],
  ['with a time', TIMED, { 'x-sig': hmac(`${NOW}:{}`, 'base64'), 'x-time': String(NOW) }],
  ['Stripe', STRIPE, stripe(`t=${NOW},v1=${hmac(`${NOW}.{}`)}`)],
  ['Standard Webhooks', STANDARD, standard({})],
  ['bearer', BEARER, { authorization: `Bearer ${secret.env}` }],
  ['GitLab', GITLAB, { 'x-gitlab-token': secret.env }],
  ['basic', BASIC, basic(`u:${secret.env}`)],
  ['a certificate', CERTIFICATE, { 'x-dn': 'CN=a' }, proxy],
])('whoever is right is let in: %s', async (_kind, auth, headers, from) => {
  expect(await reasonOf(auth, headers, from)).toBeUndefined();
});

/** The log says why somebody was refused, so that whoever sets a sender up knows where to look. */
test.each<[string, AuthSpec, Record<string, string>, Omit<VerifyRequest, 'headers' | 'body'>?]>([
  ['no x-sig header', GENERIC, {}],
  ['x-sig does not hold v0=<hex digest>', GENERIC, { 'x-sig': hmac('{}') }],
  ['x-sig does not hold v0=<hex digest>', GENERIC, { 'x-sig': `v0=${hmac('{}')}00` }],
  ['wrong signature', GENERIC, { 'x-sig': `v0=${ZEROS}` }],
  ['no x-time header', TIMED, { 'x-sig': hmac(`${NOW}:{}`, 'base64') }],
  ['the time is not a whole number of seconds', TIMED, { 'x-sig': hmac('', 'base64'), 'x-time': 'now' }],
  [
    'the time lies 61 s back, more than the tolerance of 60 s',
    TIMED,
    { 'x-sig': hmac('', 'base64'), 'x-time': String(NOW - 61) },
  ],
  [
    'the time lies 61 s ahead, more than the tolerance of 60 s',
    TIMED,
    { 'x-sig': hmac('', 'base64'), 'x-time': String(NOW + 61) },
  ],
  ['no stripe-signature header', STRIPE, {}],
  ['stripe-signature does not hold one t=', STRIPE, stripe(`v1=${ZEROS}`)],
  ['stripe-signature does not hold one t=', STRIPE, stripe(`t=${NOW},t=${NOW},v1=${ZEROS}`)],
  ['stripe-signature holds no v1=<hex digest>', STRIPE, stripe(`t=${NOW},v1=${ZEROS}0,v0=${ZEROS}`)],
  ['too many signatures', STRIPE, stripe(`t=${NOW}${`,v1=${ZEROS}`.repeat(9)}`)],
  ['wrong signature', STRIPE, stripe(`t=${NOW}${`,v1=${ZEROS}`.repeat(8)}`)],
  ['the time is not a whole number of seconds', STRIPE, stripe(`t=,v1=${ZEROS}`)],
  [id, STANDARD, standard({ 'webhook-id': 'a b' })],
  [id, STANDARD, standard({ 'webhook-id': 'a'.repeat(257) })],
  ['no signature of webhook-signature fits', STANDARD, standard({ 'webhook-id': 'a'.repeat(256) })],
  ['svix-id is missing, or holds a full stop, a comma or a space', STANDARD, { 'svix-signature': 'v1,' }],
  ['the time is not a whole number of seconds', STANDARD, standard({ 'webhook-timestamp': '' })],
  ['too many signatures', STANDARD, standard({ 'webhook-signature': 'v1,x '.repeat(9).trim() })],
  ['no signature of webhook-signature fits', STANDARD, standard({ 'webhook-signature': 'v1,' })],
  ['no bearer token', BEARER, basic('u:p')],
  ['wrong bearer token', BEARER, { authorization: 'Bearer x' }],
  ['no x-gitlab-token header', GITLAB, {}],
  ['wrong x-gitlab-token', GITLAB, { 'x-gitlab-token': '' }],
  ['no basic credentials', BASIC, { authorization: `Bearer ${secret.env}` }],
  ['basic credentials that are not base64', BASIC, { authorization: 'Basic dXN=' }],
  ['wrong user or password', BASIC, basic('u:p')],
  ['the call does not come from the proxy that checks certificates', CERTIFICATE, { 'x-dn': 'CN=a' }],
  ['no x-dn header', CERTIFICATE, {}, proxy],
  ['x-dn names no certificate that may call', CERTIFICATE, { 'x-dn': 'CN=b' }, proxy],
  ['the address (unknown) is not on the list', { addresses: ['::1'] }, {}],
  ['the address ::2 is not on the list', { addresses: ['::1'] }, {}, { remoteAddress: '::2' }],
])('the log says: %s', async (reason, auth, headers, from) => {
  expect(await reasonOf(auth, headers, from)).toBe(reason);
});

describe('a signed time', () => {
  const at = (text: string, now = NOW * 1000) => timeProblem(text, toleranceMs, now);
  test.each(['0', '1', '999999999999'])('%s is a whole number of seconds', (text) => {
    expect(at(text)).not.toBe('the time is not a whole number of seconds');
  });
  test.each(['', ' 1', '1 ', '-1', '+1', '01', '00', '1.0', '1e3', '0x1', '1000000000000', '١', '1\n'])(
    '%j is not',
    (text) => {
      expect(at(text)).toBe('the time is not a whole number of seconds');
    },
  );
  test('lies within the tolerance in whole seconds, whatever the fraction of ours', () => {
    for (const fraction of [0, 999]) {
      const now = NOW * 1000 + fraction;
      expect([at(String(NOW - 60), now), at(String(NOW + 60), now)]).toEqual([undefined, undefined]);
      expect(at(String(NOW - 61), now)).toMatch(/61 s back/);
      expect(at(String(NOW + 61), now)).toMatch(/61 s ahead/);
    }
    expect(timeProblem(String(NOW - 60), 60_999, NOW * 1000)).toBeUndefined();
    expect(timeProblem(String(NOW - 61), 60_999, NOW * 1000)).toMatch(/tolerance of 60 s/);
  });
});

describe('comparisons', () => {
  const [one, two, three] = [Buffer.from('one'), Buffer.from('two'), Buffer.from('six')];
  test('find one of several among one of several, also twice, and nothing among nothing', () => {
    expect(anyEqual([one, two], [three, two])).toBe(true);
    expect(anyEqual([one, one], [one, one])).toBe(true);
    expect(anyEqual([one, two], [three])).toBe(false);
    expect(anyEqual([], [one])).toBe(false);
    expect(anyEqual([one], [])).toBe(false);
  });
  test('of texts and bytes are the same; without a secret nothing is right', () => {
    const matches = secretComparer(new SecretValue('ü'));
    expect([matches('ü'), matches(Buffer.from('ü')), matches('u')]).toEqual([true, true, false]);
    expect(secretComparer()('')).toBe(false);
  });
  test('bytes have one spelling, but hex in either case', () => {
    expect(exactBytes('Ab', 'hex', 1)).toEqual(Buffer.of(0xab));
    expect(exactBytes('qw==', 'base64', 1)).toEqual(Buffer.of(0xab));
    expect(exactBytes('QUI=', 'base64', 2)).toEqual(Buffer.from('AB'));
    for (const text of ['a', 'abc', 'abcd', 'ag', ' ab', ''])
      expect(exactBytes(text, 'hex', 1)).toBeUndefined();
    for (const text of ['qw', 'qw=', 'qx==', 'QW==', 'q w==', '']) {
      expect(exactBytes(text, 'base64', 1)).not.toEqual(Buffer.of(0xab));
    }
  });
});
