import { createHash, timingSafeEqual } from 'node:crypto';
import type { SecretValue } from '../core/secrets.ts';

/**
 * Whether one of `given` is one of `expected`; all must have the same length. Every pair is compared, each in constant
 * time, so that neither how much was right nor which of several secrets it was shows in the time.
 */
export function anyEqual(expected: readonly Uint8Array[], given: readonly Uint8Array[]): boolean {
  let found = 0;
  for (const one of expected) for (const other of given) found |= Number(timingSafeEqual(one, other));
  return found === 1;
}

/**
 * Compares with one or several secrets in constant time. Both sides are hashed first, so that neither the length nor a
 * common start shows in the time.
 */
export function secretComparer(...secrets: readonly SecretValue[]): (given: string | Uint8Array) => boolean {
  const expected = secrets.map((secret) => sha256(secret.reveal()));
  return (given) => anyEqual(expected, [sha256(given)]);
}

const sha256 = (text: string | Uint8Array): Buffer => createHash('sha256').update(text).digest();

/** `length` bytes in the one spelling of the encoding (hex in either case), or undefined. */
export function exactBytes(text: string, encoding: 'hex' | 'base64', length: number): Buffer | undefined {
  const spelling = encoding === 'hex' ? text.toLowerCase() : text;
  const bytes = Buffer.from(spelling, encoding);
  return bytes.length === length && bytes.toString(encoding) === spelling ? bytes : undefined;
}
