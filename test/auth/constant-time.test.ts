import crypto, { createHmac } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { hmacVerifier } from '../../src/auth/body-hmac.ts';
import { clientCertificateVerifier } from '../../src/auth/client-certificate.ts';
import { basicVerifier, bearerVerifier, gitlabVerifier } from '../../src/auth/shared-secret.ts';
import { standardWebhooksVerifier } from '../../src/auth/standard-webhooks.ts';
import type { Verify } from '../../src/core/auth.ts';
import { SecretValue } from '../../src/core/secrets.ts';
import { ManualClock } from '../support/manual-clock.ts';

/**
 * That the comparison takes the same time whatever differs is `timingSafeEqual`'s promise and is not measured here: a
 * busy machine hides it. What is shown: every verdict on a secret comes from it, and it is never asked about two sides
 * whose lengths tell of the secret.
 */
const compared: [number, number][] = [];
beforeEach(() => {
  compared.length = 0;
  const { timingSafeEqual } = crypto;
  vi.spyOn(crypto, 'timingSafeEqual').mockImplementation((a, b) => {
    compared.push([a.byteLength, b.byteLength]);
    return timingSafeEqual(a, b);
  });
  syncBuiltinESMExports();
});
afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

const SECRET = 'the-right-token';
const secret = new SecretValue(SECRET);
const ONE = [[32, 32]];

describe('a bearer token', () => {
  const verify = bearerVerifier(secret);
  it.each([
    ['is the secret', SECRET, true],
    ['differs in its first letter', 'The-right-token', false],
    ['differs in its last letter', 'the-right-tokem', false],
    ['is shorter', 'the-right-toke', false],
    ['is one letter', 't', false],
    ['is far longer', SECRET.repeat(50), false],
  ])('that %s is compared once, as 32 bytes with 32 bytes', async (_, token, ok) => {
    const headers = new Headers({ authorization: `Bearer ${token}` });
    expect((await verify({ headers, body: new Uint8Array(0) })).ok).toBe(ok);
    expect(compared).toEqual(ONE);
  });
});

describe('an HMAC signature', () => {
  const spec = { header: 'x-sig', prefix: '', encoding: 'hex' } as const;
  const verify = hmacVerifier(spec, [secret], new ManualClock());
  const body = Buffer.from('{}');
  const right = createHmac('sha256', SECRET).update(body).digest('hex');
  const other = (digit: string): string => (digit === '0' ? '1' : '0');
  const check = async (signature: string) =>
    (await verify({ headers: new Headers({ 'x-sig': signature }), body })).ok;

  it.each([
    ['is right', right, true],
    ['differs in its first digit', other(right.slice(0, 1)) + right.slice(1), false],
    ['differs in its last digit', right.slice(0, -1) + other(right.slice(-1)), false],
  ])('that %s is compared once, as 32 bytes with 32 bytes', async (_, signature, ok) => {
    expect(await check(signature)).toBe(ok);
    expect(compared).toEqual(ONE);
  });

  it.each([
    ['shorter', right.slice(0, -2)],
    ['longer', `${right}00`],
  ])('that is %s is refused for its form, without a look at the secret', async (_, signature) => {
    expect(await check(signature)).toBe(false);
    expect(compared).toEqual([]);
  });
});

describe('the name of a certificate', () => {
  const from = { header: 'x-client', proxies: ['::1'] };
  it.each([
    ['subject', { ...from, subjects: ['CN=a'] }, 'CN=a'],
    ['fingerprint', { ...from, fingerprints: ['ab'.repeat(32)] }, 'ab'.repeat(32)],
  ])('is compared with each %s that is configured, and with nothing else', async (_, spec, right) => {
    for (const [given, ok] of [
      [right, true],
      ['CN=b', false],
    ] as const) {
      compared.length = 0;
      const verify = clientCertificateVerifier(spec);
      const headers = new Headers({ 'x-client': given });
      expect((await verify({ headers, body: new Uint8Array(0), remoteAddress: '::1' })).ok).toBe(ok);
      expect(compared).toEqual(ONE);
    }
  });
});

describe('of several secrets', () => {
  const texts = ['one-long-token', 'other', 'third', 'wrong'] as const;
  const one = new SecretValue(texts[0]);
  const other = new SecretValue(texts[1]);
  const third = new SecretValue(texts[2]);
  const clock = new ManualClock();
  const body = Buffer.from('{}');
  const send = async (verify: Verify, headers: Record<string, string>): Promise<boolean> => {
    compared.length = 0;
    return (await verify({ headers: new Headers(headers), body })).ok === true;
  };
  const digest = (key: string | Buffer, text: string, encoding: 'hex' | 'base64'): string =>
    createHmac('sha256', key).update(text).digest(encoding);
  const spec = { header: 'x-sig', prefix: '', encoding: 'hex' } as const;
  const tolerance = { toleranceMs: 1000 };
  const time = String(Math.floor(clock.now() / 1000));
  const key = (fill: number): Buffer => Buffer.alloc(24, fill);
  const standard = [1, 2, 3].map((fill) => new SecretValue(`whsec_${key(fill).toString('base64')}`));
  const standardHeaders = (fill: number) => ({
    'webhook-id': 'a',
    'webhook-timestamp': time,
    'webhook-signature': `v1,${digest(key(fill), `a.${time}.{}`, 'base64')}`,
  });
  const basic = (password: string) => ({
    authorization: `Basic ${Buffer.from(`u:${password}`).toString('base64')}`,
  });

  it.each<[string, Verify, (i: 0 | 1 | 2 | 3) => Record<string, string>]>([
    ['bearer', bearerVerifier(one, other, third), (i) => ({ authorization: `Bearer ${texts[i]}` })],
    ['gitlab', gitlabVerifier(one, other, third), (i) => ({ 'x-gitlab-token': texts[i] })],
    ['basic', basicVerifier('u', one, other, third), (i) => basic(texts[i])],
    [
      'hmac',
      hmacVerifier(spec, [one, other, third], clock),
      (i) => ({ 'x-sig': digest(texts[i], '{}', 'hex') }),
    ],
    [
      'stripe',
      hmacVerifier({ scheme: 'stripe', ...tolerance }, [one, other, third], clock),
      (i) => ({ 'stripe-signature': `t=${time},v1=${digest(texts[i], `${time}.{}`, 'hex')}` }),
    ],
    [
      'standard-webhooks',
      standardWebhooksVerifier({ scheme: 'standard-webhooks', ...tolerance }, standard, clock),
      (i) => standardHeaders(i + 1),
    ],
  ])('each is compared, whichever was right: %s', async (_kind, verify, headers) => {
    for (const i of [0, 1, 2, 3] as const) {
      expect(await send(verify, headers(i))).toBe(i < 3);
      expect(compared).toEqual([...ONE, ...ONE, ...ONE]);
    }
  });

  it('each is compared with each of several signatures', async () => {
    const verify = hmacVerifier({ scheme: 'stripe', ...tolerance }, [one, other], clock);
    const signature = digest('other', `${time}.{}`, 'hex');
    const value = `t=${time},v1=${signature},v1=${'0'.repeat(64)}`;
    expect(await send(verify, { 'stripe-signature': value })).toBe(true);
    expect(compared).toHaveLength(4);
  });
});
