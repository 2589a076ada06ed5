import { expect, test } from 'vitest';
import { importKeys } from '../../src/auth/jwk-set.ts';

/** The odd primes of the published test for CVE-2017-15361. */
const PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
  109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
].map(BigInt);
const PRODUCT = PRIMES.reduce((product, prime) => product * prime, 2n);

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let square = base, rest = exponent; rest > 0n; rest >>= 1n, square = (square * square) % modulus) {
    if (rest % 2n === 1n) result = (result * square) % modulus;
  }
  return result;
}

/** Of 2048 bits, and what the generator's moduli are: a power of 65537 modulo the product. */
const marked = (exponent: bigint): bigint => {
  const multiple = (1n << 2047n) / PRODUCT + 1n;
  return multiple * PRODUCT + power(65_537n, exponent, PRODUCT);
};

async function reasonOf(modulus: bigint): Promise<string | undefined> {
  const n = Buffer.from(modulus.toString(16), 'hex').toString('base64url');
  const imported = await importKeys([{ kty: 'RSA', n, e: 'AQAB', alg: 'RS256' }], ['RS256']);
  return imported.ok ? undefined : imported.reason;
}

test.each([1n, 2n, 3n, 65_537n, 123_456_789n])(
  'a modulus of the faulty generator is left out (%d)',
  async (exponent) => {
    expect(await reasonOf(marked(exponent))).toContain('ROCA');
  },
);

test('each of the primes must show the mark: a modulus that lacks one is taken', async () => {
  const modulus = marked(123_456_789n);
  for (const prime of PRIMES) {
    // Divisible by this prime, which no power is; the same as before by all others.
    const step = PRODUCT / prime;
    let other = modulus;
    while (other % prime !== 0n) other += step;
    expect(other % 2n).toBe(1n);
    expect([prime, await reasonOf(other)]).toEqual([prime, undefined]);
  }
});
