/** The odd primes up to 167: each divides the number that the faulty generator built its primes around. */
const PRIMES = Array.from({ length: 165 }, (_, i) => i + 3).filter(isPrime);
const GENERATOR = 65_537;

/** By prime: what the powers of the generator leave over. Half of all numbers or fewer, for most of them. */
const REMAINDERS: readonly (readonly [prime: number, powers: ReadonlySet<number>])[] = PRIMES.map((prime) => [
  prime,
  powersModulo(prime),
]);

/**
 * Whether an RSA modulus shows the mark of CVE-2017-15361: the chips' primes were powers of 65537 modulo the product of
 * small primes, and so is the product of two of them, which is enough to factor it. Of other moduli fewer than one in
 * 100 million look alike.
 */
export function isRocaModulus(modulus: Uint8Array): boolean {
  return REMAINDERS.every(([prime, powers]) => powers.has(remainder(modulus, prime)));
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}

function powersModulo(prime: number): ReadonlySet<number> {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * GENERATOR) % prime) powers.add(power);
  return powers;
}

function remainder(number: Uint8Array, prime: number): number {
  return number.reduce((rest, byte) => (rest * 256 + byte) % prime, 0);
}
