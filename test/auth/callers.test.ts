import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { compileVerify } from '../../src/auth/verify.ts';
import { anyOf } from '../../src/auth/combined.ts';
import type { AuthSpec, CallerSpec, VerifyRequest, VerifyResult } from '../../src/core/auth.ts';
import { SecretValue } from '../../src/core/secrets.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { nameIsValue } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';

const clock = new ManualClock('2026-06-01T12:00:00Z');
const NOW = Math.floor(clock.now() / 1000);
const issuers = { get: () => Promise.reject(new Error('no issuers here')) };
const deps = { issuers, secrets: nameIsValue, clock, expressions: createExpressions() };
const BODY = '{}';

interface Call extends Omit<VerifyRequest, 'headers' | 'body'> {
  readonly headers?: Record<string, string>;
  readonly body?: string;
}
async function call(
  auth: AuthSpec,
  { headers = {}, body = BODY, ...addresses }: Call,
): Promise<VerifyResult> {
  const verify = await compileVerify(auth, deps);
  return verify({ headers: new Headers(headers), body: Buffer.from(body), ...addresses });
}
const letIn = async (auth: AuthSpec, request: Call): Promise<VerifyResult['ok']> =>
  (await call(auth, request)).ok;
const hex = (text: string, secret = 's3cret'): string =>
  createHmac('sha256', secret).update(text).digest('hex');

describe('generic HMAC with a time', () => {
  const timestamp = { header: 'x-time', signed: 'v0:{timestamp}:{body}', toleranceMs: 60_000 };
  const spec = { header: 'x-sig', prefix: 'v0=', encoding: 'hex', timestamp } as const;
  const auth: AuthSpec = { hmac: { ...spec, secret: { env: 's3cret' } } };
  const sent = (time: number, signedTime = time) => ({
    headers: { 'x-time': String(time), 'x-sig': `v0=${hex(`v0:${signedTime}:${BODY}`)}` },
  });
  test.each([
    ['now', sent(NOW), true],
    ['as old as the tolerance', sent(NOW - 60), true],
    ['older', sent(NOW - 61), false],
    ['as far ahead as the tolerance', sent(NOW + 60), true],
    ['further ahead', sent(NOW + 61), false],
    ['fresh, where another was signed', sent(NOW, NOW - 90), false],
    ['missing', { headers: { 'x-sig': `v0=${hex(`v0:${NOW}:${BODY}`)}` } }, false],
    ['not signed', { headers: { 'x-time': String(NOW), 'x-sig': `v0=${hex(BODY)}` } }, false],
  ])('the time is %s', async (_what, request, ok) => {
    expect(await letIn(auth, request)).toBe(ok);
  });
});

describe('several secrets', () => {
  const env = (...names: string[]) => names.map((name) => ({ env: name }));
  const digest = (secret: string) => ({ headers: { 'x-hub-signature-256': `sha256=${hex(BODY, secret)}` } });
  const basic = (password: string) => ({
    headers: { authorization: `Basic ${Buffer.from(`u:${password}`).toString('base64')}` },
  });
  test.each<[string, AuthSpec, (secret: string) => Call]>([
    ['hmac', { hmac: { scheme: 'github', secrets: env('old', 'new') } }, digest],
    [
      'bearer',
      { bearer: { tokens: env('old', 'new') } },
      (token) => ({ headers: { authorization: `Bearer ${token}` } }),
    ],
    [
      'gitlab',
      { gitlab: { tokens: env('old', 'new') } },
      (token) => ({ headers: { 'x-gitlab-token': token } }),
    ],
    ['basic', { basic: { user: 'u', passwords: env('old', 'new') } }, basic],
  ])('of %s count alike, and no third', async (_kind, auth, request) => {
    expect(await letIn(auth, request('old'))).toBe(true);
    expect(await letIn(auth, request('new'))).toBe(true);
    expect(await letIn(auth, request('oldnew'))).toBe(false);
    expect(await letIn(auth, request(''))).toBe(false);
  });
});

describe("GitLab's token", () => {
  const auth: AuthSpec = { gitlab: { token: { env: 'the-token' } } };
  test.each([
    [{ 'x-gitlab-token': 'the-token' }, true],
    [{ 'X-GitLab-Token': 'the-token' }, true],
    [{ 'x-gitlab-token': 'THE-TOKEN' }, false],
    [{ 'x-gitlab-token': 'the-token, the-token' }, false],
    [{ 'x-gitlab-token': '' }, false],
    [{ authorization: 'Bearer the-token' }, false],
    [{}, false],
  ])('%j: %s', async (headers, ok) => {
    expect(await letIn(auth, { headers })).toBe(ok);
  });
});

describe('user and password', () => {
  const auth: AuthSpec = { basic: { user: 'Zoë', password: { env: 'pass:word' } } };
  const of = (text: string | Buffer, scheme = 'Basic') => ({
    authorization: `${scheme} ${Buffer.from(text as string).toString('base64')}`,
  });
  test('are let in, and the user is a claim', async () => {
    for (const scheme of ['Basic', 'basic', 'BASIC', 'Basic  ']) {
      expect(await call(auth, { headers: of('Zoë:pass:word', scheme) })).toEqual({
        ok: true,
        claims: { user: 'Zoë' },
      });
    }
  });
  test.each([
    ['another user', of('Zoe:pass:word')],
    ['another password', of('Zoë:pass')],
    ['no user', of(':pass:word')],
    ['no password', of('Zoë:')],
    ['no colon', of('Zoëpass:word')],
    ['the user in Latin-1', of(Buffer.from('Zoë:pass:word', 'latin1'))],
    ['the wrong scheme', of('Zoë:pass:word', 'Bearer')],
    ['a scheme that ends alike', of('Zoë:pass:word', 'xBasic')],
    ['them behind another header', of('Zoë:pass:word', 'Bearer x, Basic')],
    ['text that is not encoded', { authorization: 'Basic Zoe:pass:word' }],
    ['an unusual spelling of base64', { authorization: `${of('Zoë:pass:word').authorization}=` }],
    ['two headers', { authorization: `${of('Zoë:pass:word').authorization}, ${of('a:b').authorization}` }],
    ['nothing', {}],
  ])('refuses %s', async (_what, headers) => {
    expect(await letIn(auth, { headers })).toBe(false);
  });
});

describe('a certificate that a proxy has checked', () => {
  const DN = 'CN=robot,O=Example';
  const PRINT = 'ab'.repeat(32);
  const from = { header: 'x-client', proxies: ['10.0.0.1', 'fd00::/8'] };
  const subject: AuthSpec = { clientCertificate: { ...from, subjects: [DN, 'CN=other'] } };
  const print: AuthSpec = { clientCertificate: { ...from, fingerprints: [PRINT] } };
  const sent = (value: string, remoteAddress: string, peerAddress?: string): Call => ({
    headers: { 'x-client': value },
    remoteAddress,
    ...(peerAddress === undefined ? {} : { peerAddress }),
  });

  test('lets in a subject, or a fingerprint in any spelling, which becomes a claim', async () => {
    expect(await call(subject, sent(DN, '10.0.0.1'))).toEqual({ ok: true, claims: { subject: DN } });
    const upper = (PRINT.match(/../g) ?? []).join(':').toUpperCase();
    for (const value of [PRINT, upper]) {
      const result = await call(print, sent(value, 'fd12::1'));
      expect(result).toEqual({ ok: true, claims: { fingerprint: PRINT } });
    }
  });
  test.each<[string, AuthSpec, Call]>([
    ['from anywhere else', subject, sent(DN, '10.0.0.2')],
    ['from an unknown address', subject, { headers: { 'x-client': DN } }],
    [
      'from a caller who has the address of the proxy by its word',
      subject,
      sent(DN, '10.0.0.1', '192.0.2.1'),
    ],
    ['without the header', subject, { remoteAddress: '10.0.0.1' }],
    ['with an empty one', subject, sent('', '10.0.0.1')],
    ['with another subject', subject, sent(`${DN},C=DE`, '10.0.0.1')],
    ['with the subject in another case', subject, sent(DN.toLowerCase(), '10.0.0.1')],
    ['with the header twice', subject, sent(`${DN}, ${DN}`, '10.0.0.1')],
    ['with the start of the fingerprint', print, sent(PRINT.slice(0, 40), '10.0.0.1')],
  ])('refuses it %s', async (_what, auth, request) => {
    expect(await letIn(auth, request)).toBe(false);
  });
  test('counts where the proxy itself connects, whoever it calls for', async () => {
    expect(await letIn(subject, sent(DN, '192.0.2.1', '10.0.0.1'))).toBe(true);
  });
});

describe('addresses', () => {
  const addresses = ['192.0.2.7', '198.51.100.0/24', '2001:db8::/32'];
  test.each([
    ['192.0.2.7', true],
    ['::ffff:192.0.2.7', true],
    ['192.0.2.8', false],
    ['198.51.100.255', true],
    ['198.51.101.0', false],
    ['2001:db8:ffff::1', true],
    ['2001:db9::1', false],
    ['192.0.2.7, 10.0.0.1', false],
    ['', false],
    ['localhost', false],
  ])('%s: %s', async (remoteAddress, ok) => {
    expect(await letIn({ addresses }, { remoteAddress })).toBe(ok);
  });
  test('are of no use to who has none', async () => {
    expect(await letIn({ addresses }, {})).toBe(false);
  });
  test('are never those of a trusted proxy that does not say who calls, and the log hears what is missing', async () => {
    const request = { remoteAddress: '192.0.2.7', peerAddress: '192.0.2.7', callerUntold: true } as const;
    expect(await call({ addresses }, request)).toEqual({
      ok: false,
      reason:
        'the trusted proxy 192.0.2.7 did not say who calls: let it set X-Forwarded-For to the address of its caller, or take it out of server.trustedProxies where it is the caller itself',
    });
    // It named one that counts as a proxy too: then the network of the proxies is what has to change.
    expect(await call({ addresses }, { ...request, remoteAddress: '192.0.2.8' })).toMatchObject({
      ok: false,
      reason: expect.stringContaining('names 192.0.2.8, which is in server.trustedProxies too: narrow those'),
    });
    // Nothing is known of the connection either.
    expect(await call({ addresses }, { callerUntold: true })).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/^the trusted proxy \(unknown\) did not say who calls: /),
    });
    const headers = { authorization: 'Bearer t' };
    expect(await letIn({ bearer: { token: { env: 't' } }, addresses }, { headers, ...request })).toBe(false);
    expect(await letIn({ bearer: { token: { env: 't' } } }, { headers, ...request })).toBe(true);
  });
  test('beside another condition: both must hold', async () => {
    const auth: AuthSpec = { bearer: { token: { env: 't' } }, addresses };
    const headers = { authorization: 'Bearer t' };
    expect(await letIn(auth, { headers, remoteAddress: '192.0.2.7' })).toBe(true);
    expect(await letIn(auth, { headers, remoteAddress: '192.0.2.8' })).toBe(false);
    expect(await letIn(auth, { remoteAddress: '192.0.2.7' })).toBe(false);
  });
});

describe('anyOf', () => {
  const digest = { 'x-hub-signature-256': `sha256=${hex(BODY)}` };
  const hmac: CallerSpec = { hmac: { scheme: 'github', secret: { env: 's3cret' } } };
  const basic: CallerSpec = { basic: { user: 'u', password: { env: 'p' } } };
  const user = { authorization: `Basic ${Buffer.from('u:p').toString('base64')}` };
  const auth: AuthSpec = { anyOf: [hmac, basic, { addresses: ['10.0.0.1'] }] };

  test('lets in whoever one of them does, with its claims and what it vouches for', async () => {
    expect(await call(auth, { headers: digest })).toEqual({ ok: true, claims: {}, covers: 'body' });
    expect(await call(auth, { headers: user })).toEqual({ ok: true, claims: { user: 'u' } });
    expect(await call(auth, { remoteAddress: '10.0.0.1' })).toEqual({ ok: true, claims: {} });
    expect(await call(auth, { headers: { ...digest, ...user } })).toMatchObject({ covers: 'body' });
  });
  test('refuses everyone else, and the log hears why of each', async () => {
    const result = await call(auth, { remoteAddress: '10.0.0.2' });
    expect(result).toEqual({
      ok: false,
      reason: expect.stringMatching(/x-hub-signature-256.*; no basic credentials; .*10\.0\.0\.2/),
    });
  });
  test('one of several may ask for two things, and addresses may stand beside all of them', async () => {
    const paired: AuthSpec = {
      anyOf: [{ ...basic, addresses: ['10.0.0.1'] }, hmac],
      addresses: ['10.0.0.0/8'],
    };
    expect(await letIn(paired, { headers: user, remoteAddress: '10.0.0.1' })).toBe(true);
    expect(await letIn(paired, { headers: user, remoteAddress: '10.0.0.2' })).toBe(false);
    expect(await letIn(paired, { headers: digest, remoteAddress: '10.0.0.2' })).toBe(true);
    expect(await letIn(paired, { headers: digest, remoteAddress: '192.0.2.1' })).toBe(false);
  });
  test('one that cannot check is no refusal, unless another lets the call in', async () => {
    const no = async (): Promise<VerifyResult> => ({ ok: false, reason: 'no' });
    const yes = async (): Promise<VerifyResult> => ({ ok: true, claims: {} });
    const later = (retryAfter: number) => async (): Promise<VerifyResult> => ({
      ok: 'unavailable',
      reason: `in ${retryAfter}`,
      retryAfter,
    });
    const request = { headers: new Headers(), body: new Uint8Array(0) };
    expect(await anyOf([no, later(9), later(4), later(7)])(request)).toEqual({
      ok: 'unavailable',
      reason: 'no; in 9; in 4; in 7',
      retryAfter: 4,
    });
    expect(await anyOf([later(9), no])(request)).toEqual({
      ok: 'unavailable',
      reason: 'in 9; no',
      retryAfter: 9,
    });
    expect(await anyOf([later(9), yes])(request)).toEqual({ ok: true, claims: {} });
    expect(await anyOf([no])(request)).toEqual({ ok: false, reason: 'no' });
    expect(await anyOf([])(request)).toMatchObject({ ok: false });
  });
});

describe('a secret that is empty lets nobody in', () => {
  const empty = { ...deps, secrets: { resolve: async () => new SecretValue('') } };
  const ref = { env: 'E' };
  test.each<[string, AuthSpec]>([
    ['hmac', { hmac: { scheme: 'github', secret: ref } }],
    ['hmac, none named', { hmac: { scheme: 'slack', toleranceMs: 1000, secrets: [] } }],
    ['standard-webhooks', { hmac: { scheme: 'standard-webhooks', toleranceMs: 1000, secret: ref } }],
    ['bearer', { bearer: { token: ref } }],
    ['gitlab', { gitlab: { tokens: [ref] } }],
    ['basic', { basic: { user: 'u', password: ref } }],
    ['anyOf', { anyOf: [{ addresses: ['::1'] }, { bearer: { token: ref } }] }],
  ])('%s', async (_kind, auth) => {
    await expect(compileVerify(auth, empty)).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: expect.stringMatching(
        /^(A secret that callers are checked by is empty\.|The secret of a webhook .*)$/,
      ) as unknown,
    });
  });
  test('nor where it is one of several', async () => {
    const one = { ...deps, secrets: nameIsValue };
    const tokens = [{ env: 'a-token-of-some-length' }, { env: '' }];
    await expect(compileVerify({ bearer: { tokens } }, one)).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: 'A secret that callers are checked by is empty.',
    });
  });
});
