import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { fits, knownAlgorithms, signatureHolds } from '../../src/auth/algorithms.ts';

// Short, as it takes long to find the primes of a longer one; the length is judged where keys are read.
const rsa = generateKeyPairSync('rsa', { modulusLength: 1088 });
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
const [p256, p384, p521] = [ec('P-256'), ec('P-384'), ec('P-521')];
const ed25519 = generateKeyPairSync('ed25519');

/** RFC 7518 §3.1 and RFC 8037 in Node's words. */
const pkcs1 = (key: KeyObject) => ({ key, padding: constants.RSA_PKCS1_PADDING });
const pss = (saltLength: number) => (key: KeyObject) => ({
  key,
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength,
});
const raw = (key: KeyObject) => ({ key, dsaEncoding: 'ieee-p1363' as const });
const ALGORITHMS = {
  RS256: { pair: rsa, hash: 'sha256', way: pkcs1 },
  RS384: { pair: rsa, hash: 'sha384', way: pkcs1 },
  RS512: { pair: rsa, hash: 'sha512', way: pkcs1 },
  PS256: { pair: rsa, hash: 'sha256', way: pss(32) },
  PS384: { pair: rsa, hash: 'sha384', way: pss(48) },
  PS512: { pair: rsa, hash: 'sha512', way: pss(64) },
  ES256: { pair: p256, hash: 'sha256', way: raw },
  ES384: { pair: p384, hash: 'sha384', way: raw },
  ES512: { pair: p521, hash: 'sha512', way: raw },
  EdDSA: { pair: ed25519, hash: null, way: (key: KeyObject) => key },
  Ed25519: { pair: ed25519, hash: null, way: (key: KeyObject) => key },
};
/** Two names of one algorithm. */
const ED = ['EdDSA', 'Ed25519'];
const same = (one: string, other: string): boolean =>
  one === other || (ED.includes(one) && ED.includes(other));
const text = Buffer.from('header.payload');

test('these and no others are known', () => {
  expect(knownAlgorithms()).toEqual(Object.keys(ALGORITHMS));
});

describe.each(Object.entries(ALGORITHMS))('%s', (alg, { pair, hash, way }) => {
  const signature = sign(hash, text, way(pair.privateKey));
  const jwk = pair.publicKey.export({ format: 'jwk' });
  const use = { kty: jwk.kty ?? '', crv: jwk.crv, alg: undefined };

  test('holds for what it has signed, and for nothing else', () => {
    expect(signatureHolds(alg, pair.publicKey, text, signature)).toBe(true);
    expect(signatureHolds(alg, pair.publicKey, Buffer.from('header.payloae'), signature)).toBe(false);
    const other = Buffer.from(signature);
    other[10] = (other[10] ?? 0) ^ 1;
    expect(signatureHolds(alg, pair.publicKey, text, other)).toBe(false);
    for (const length of [0, 1, signature.length - 1]) {
      expect(signatureHolds(alg, pair.publicKey, text, signature.subarray(0, length))).toBe(false);
    }
  });

  test('does not hold under the name of another algorithm', () => {
    for (const name of Object.keys(ALGORITHMS)) {
      const holds = fits(use, name) && signatureHolds(name, pair.publicKey, text, signature);
      expect([name, holds]).toEqual([name, same(name, alg)]);
    }
    expect(signatureHolds('none', pair.publicKey, text, signature)).toBe(false);
  });

  test('a key fits by its kind and curve, and where it names an algorithm only that', () => {
    const kinds = Object.entries(ALGORITHMS).filter(([, { pair: other }]) => other === pair);
    for (const name of Object.keys(ALGORITHMS)) {
      expect([name, fits(use, name)]).toEqual([name, kinds.some(([kind]) => kind === name)]);
      expect([name, fits({ ...use, alg }, name)]).toEqual([name, name === alg]);
    }
    expect(fits(use, 'HS256')).toBe(false);
    expect(fits({ ...use, kty: 'oct' }, alg)).toBe(false);
    expect(fits({ ...use, crv: 'secp256k1' }, alg)).toBe(false);
  });
});

test('a key that cannot check such signatures is no error', () => {
  const signature = sign(null, text, ed25519.privateKey);
  for (const alg of ['RS256', 'PS256', 'ES256']) {
    expect([alg, signatureHolds(alg, ed25519.publicKey, text, signature)]).toEqual([alg, false]);
  }
});
