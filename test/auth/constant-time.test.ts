import crypto, { createHmac } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bearerVerifier, hmacVerifier } from '../../src/auth/shared-secret.ts';
import { SecretValue } from '../../src/core/secrets.ts';

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
  const verify = hmacVerifier({ secret: { env: 'X' }, header: 'x-sig', prefix: '', encoding: 'hex' }, secret);
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
