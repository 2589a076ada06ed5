import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { importKeys } from '../../src/auth/jwk-set.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { makeKey } from '../support/tokens.ts';

const ec = makeKey('ES256', 'ec').jwk;
const plain: JsonObject = { kty: 'EC', crv: 'P-256', x: ec['x'] ?? null, y: ec['y'] ?? null };
const url = (bytes: Buffer): string => bytes.toString('base64url');
/** An odd number of so many bits; nothing is signed with it, so that it need not be the product of two primes. */
function modulus(bits: number): Buffer {
  const bytes = Buffer.alloc(Math.ceil(bits / 8), 0xc5);
  bytes[0] = 0xff >> (bytes.length * 8 - bits);
  return bytes;
}
const rsa = (change: JsonObject = {}): JsonObject => ({
  kty: 'RSA',
  n: url(modulus(2048)),
  e: 'AQAB',
  ...change,
});
const exponent = (...bytes: number[]): JsonObject => rsa({ e: url(Buffer.from(bytes)) });

const ALGS = ['RS256', 'ES256', 'EdDSA'];
/** Why the one key is left out, or undefined. */
async function reason(key: Json): Promise<string | undefined> {
  const imported = await importKeys([plain, key], ALGS);
  if (!imported.ok) throw new Error(imported.reason);
  return imported.skipped[0]?.reason;
}

describe('a published key is taken', () => {
  test.each<[string, JsonObject]>([
    ['of RSA with 2048 bits', rsa()],
    ['of RSA with 8192 bits', rsa({ n: url(modulus(8192)) })],
    ['of RSA with zeros in front', rsa({ n: url(Buffer.concat([Buffer.alloc(2), modulus(2048)])) })],
    ['with an exponent of three bytes', exponent(1, 0, 1)],
    ['with an exponent of four bytes', exponent(1, 0, 0, 1)],
    ['with zeros before its exponent', exponent(0, 0, 1, 0, 1)],
    ['for signatures', { ...plain, use: 'sig' }],
    ['for verifying, among others', { ...plain, key_ops: ['wrapKey', 'verify'] }],
    ['with members that nobody knows', { ...plain, x5c: ['AAAA'], more: {} }],
    ['with a kid that is empty', { ...plain, kid: '' }],
  ])('%s', async (_what, key) => {
    expect(await reason(key)).toBeUndefined();
  });

  test('of Ed25519', async () => {
    expect(await reason(makeKey('EdDSA', 'ed').jwk)).toBeUndefined();
  });
});

describe('a published key is left out, and the log says why', () => {
  const bits = (count: number): string => `${count} bits, not 2048 to 8192`;
  const exponents = 'its exponent is not an odd number from 65537 up';
  const privately = 'it holds private parts';
  const even = modulus(2048);
  even[255] = 0xc4;
  const LEFT_OUT: readonly [Json, string][] = [
    [null, 'not an object'],
    ['key', 'not an object'],
    [[plain], 'not an object'],
    [{}, "not for any of the issuer's algorithms"],
    [{ ...plain, kty: 1 }, "not for any of the issuer's algorithms"],
    [{ ...plain, kty: 'ec' }, "not for any of the issuer's algorithms"],
    [{ ...plain, alg: 'ES384' }, "not for any of the issuer's algorithms"],
    [{ ...plain, crv: 'P-384' }, "not for any of the issuer's algorithms"],
    [{ ...plain, kid: 1 }, 'kid is not a string'],
    [{ ...plain, alg: null }, 'alg is not a string'],
    [{ ...plain, crv: ['P-256'] }, 'crv is not a string'],
    [{ ...plain, use: true }, 'use is not a string'],
    ...['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'].map((name): [Json, string] => [
      { ...plain, [name]: 'AA' },
      privately,
    ]),
    [{ ...plain, use: 'enc' }, 'not for signatures'],
    [{ ...plain, use: '' }, 'not for signatures'],
    [{ ...plain, key_ops: [] }, 'not for verifying'],
    [{ ...plain, key_ops: ['sign'] }, 'not for verifying'],
    [{ ...plain, key_ops: 'verify' }, 'not for verifying'],
    [{ ...plain, y: 'AA' }, 'its numbers do not make a public key'],
    [{ kty: 'EC', crv: 'P-256', x: ec['x'] ?? null }, 'its numbers do not make a public key'],
    [rsa({ n: url(modulus(2047)) }), bits(2047)],
    [rsa({ n: url(modulus(1024)) }), bits(1024)],
    [rsa({ n: url(modulus(8193)) }), bits(8193)],
    [rsa({ n: url(Buffer.concat([Buffer.alloc(128), modulus(1024)])) }), bits(1024)],
    [rsa({ n: url(even) }), 'its modulus is even'],
    [exponent(1), exponents],
    [exponent(3), exponents],
    [exponent(0xff, 0xff), exponents],
    [exponent(1, 0, 0), exponents],
    [exponent(1, 0, 2), exponents],
    [exponent(1, 0, 0, 0, 1), exponents],
    ...['', 'A+AB', 'AQ==', ' AQAB', 'AQAB ', 'AA', 65_537, null].flatMap((value): [Json, string][] => [
      [rsa({ n: value }), 'n or e is missing or not base64url'],
      [rsa({ e: value }), 'n or e is missing or not base64url'],
    ]),
    [{ kty: 'RSA', e: 'AQAB' }, 'n or e is missing or not base64url'],
    [{ kty: 'RSA', n: url(modulus(2048)) }, 'n or e is missing or not base64url'],
  ];
  // Named by number, as some of the keys are others in each run.
  test.each(LEFT_OUT.map(([key, why], i) => ({ i, key, why })))('$i: $why', async ({ key, why }) => {
    expect(await reason(key)).toBe(why);
  });
});

describe('a set of keys', () => {
  test('may have a hundred, and no more', async () => {
    const keys = (count: number): JsonObject[] =>
      Array.from({ length: count }, (_, i) => ({ ...plain, kid: `${i}` }));
    expect(await importKeys(keys(100), ALGS)).toMatchObject({ ok: true, set: { size: 100 }, skipped: [] });
    expect(await importKeys(keys(101), ALGS)).toEqual({
      ok: false,
      reason: 'the key set has more than 100 keys',
      unusable: false,
    });
  });

  test.each([undefined, null, {}, 'keys'])('is a list: %j is none', async (keys) => {
    expect(await importKeys(keys, ALGS)).toEqual({
      ok: false,
      reason: 'the key set has no list named keys',
      unusable: false,
    });
  });

  test('without a key that counts says why of the first five', async () => {
    const none = { ok: false, unusable: true };
    expect(await importKeys([], ALGS)).toEqual({ ...none, reason: 'the key set has no usable key' });
    expect(await importKeys([1, {}, 3, 4, 5, 6], ALGS)).toEqual({
      ...none,
      reason:
        "the key set has no usable key (key 0: not an object; key 1: not for any of the issuer's algorithms; key 2: not an object; key 3: not an object; key 4: not an object)",
    });
  });

  test('tells which were left out', async () => {
    expect(await importKeys([1, plain, null], ALGS)).toMatchObject({
      ok: true,
      set: { size: 1 },
      skipped: [{ index: 0 }, { index: 2 }],
    });
  });

  test('finds the one key that fits: by kid, or by being the only one', async () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
    const ed = makeKey('EdDSA', 'ed').jwk;
    const imported = await importKeys([{ ...plain, kid: 'a' }, { ...other, kid: 'b' }, ed], ALGS);
    if (!imported.ok) throw new Error(imported.reason);
    const { set } = imported;
    expect(set.find('a', 'ES256')?.key.export({ format: 'jwk' })).toMatchObject({ x: plain['x'] });
    expect(set.find('b', 'ES256')?.kid).toBe('b');
    expect(set.find('ed', 'EdDSA')).toMatchObject({ kid: 'ed', kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA' });
    expect(set.find(undefined, 'EdDSA')?.kid).toBe('ed');
    expect(set.find(undefined, 'ES256')).toBeUndefined();
    expect(set.find('c', 'ES256')).toBeUndefined();
    expect(set.find('a', 'EdDSA')).toBeUndefined();
  });
});
