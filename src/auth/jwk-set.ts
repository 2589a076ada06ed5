import { KeyObject } from 'node:crypto';
import { importJWK, type JWK } from 'jose';
import type { JsonObject } from '../core/json.ts';
import { fits, type KeyUse } from './algorithms.ts';
import { isRocaModulus } from './roca.ts';

/** Google publishes 2 to 4 keys, large tenants a few dozen. */
export const MAX_KEYS = 100;
const RSA_BITS = { min: 2048, max: 8192 };
/** Every private or symmetric member of RFC 7518 §6: a key that carries one is no longer a secret, or never was public. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

export interface VerifyKey extends KeyUse {
  readonly kid: string | undefined;
  readonly key: KeyObject;
}

/** The usable public keys of one issuer. */
export class KeySet {
  readonly #keys: readonly VerifyKey[];
  constructor(keys: readonly VerifyKey[]) {
    this.#keys = keys;
  }
  get size(): number {
    return this.#keys.length;
  }

  /**
   * The one key with this `kid` that fits `alg`; where the token names no `kid`, the only key that fits. undefined
   * where there is none or more than one: which key counts must never be the sender's choice.
   */
  find(kid: string | undefined, alg: string): VerifyKey | undefined {
    const found = this.#keys.filter((key) => (kid === undefined || key.kid === kid) && fits(key, alg));
    return found.length === 1 ? found[0] : undefined;
  }
}

/** A key that was left out, and why, in words. */
export interface SkippedKey {
  readonly index: number;
  readonly reason: string;
}
export type ImportResult =
  | { readonly ok: true; readonly set: KeySet; readonly skipped: readonly SkippedKey[] }
  /** `unusable`: there is a list, but no key in it can be used, as where an issuer withdraws all that it had. */
  | { readonly ok: false; readonly reason: string; readonly unusable: boolean };

/**
 * Imports the keys of a JWKS that may check `algorithms`. A key that is weak, private, broken or for something else is
 * left out; a set without a usable key, or with more than 100 keys, is refused.
 */
export async function importKeys(keys: unknown, algorithms: readonly string[]): Promise<ImportResult> {
  if (!Array.isArray(keys)) return unreadable('the key set has no list named keys');
  if (keys.length > MAX_KEYS) return unreadable(`the key set has more than ${MAX_KEYS} keys`);
  const usable: VerifyKey[] = [];
  const skipped: SkippedKey[] = [];
  for (const [index, jwk] of keys.entries()) {
    const key = await importKey(jwk, algorithms);
    if (typeof key === 'string') skipped.push({ index, reason: key });
    else usable.push(key);
  }
  if (usable.length > 0) return { ok: true, set: new KeySet(usable), skipped };
  const why = skipped.map(({ index, reason }) => `key ${index}: ${reason}`).slice(0, 5);
  return {
    ok: false,
    reason: `the key set has no usable key${why.length === 0 ? '' : ` (${why.join('; ')})`}`,
    unusable: true,
  };
}

const unreadable = (reason: string): ImportResult => ({ ok: false, reason, unusable: false });

/** The key, or why it is left out. */
async function importKey(value: unknown, algorithms: readonly string[]): Promise<VerifyKey | string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not an object';
  const jwk = value as JsonObject;
  const problem = keyProblem(jwk);
  if (problem !== undefined) return problem;
  const use = {
    kty: text(jwk['kty']) ?? '',
    crv: text(jwk['crv']),
    alg: text(jwk['alg']),
    kid: text(jwk['kid']),
  };
  const alg = algorithms.find((one) => fits(use, one));
  if (alg === undefined) return "not for any of the issuer's algorithms";
  try {
    // Only what makes the public key is passed on, so that nothing else in it can change how it is read.
    const key = await importJWK(publicPart(jwk), alg);
    if (key instanceof Uint8Array) return 'not a public key';
    return { ...use, key: KeyObject.from(key) };
  } catch {
    return 'its numbers do not make a public key';
  }
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

function publicPart(jwk: JsonObject): JWK {
  const part: Record<string, unknown> = {};
  for (const name of ['kty', 'crv', 'n', 'e', 'x', 'y']) if (jwk[name] !== undefined) part[name] = jwk[name];
  return part;
}

function keyProblem(jwk: JsonObject): string | undefined {
  for (const name of ['kid', 'alg', 'crv', 'use']) {
    if (jwk[name] !== undefined && typeof jwk[name] !== 'string') return `${name} is not a string`;
  }
  if (PRIVATE_MEMBERS.some((name) => name in jwk)) return 'it holds private parts';
  if (jwk['use'] !== undefined && jwk['use'] !== 'sig') return 'not for signatures';
  const operations = jwk['key_ops'];
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    return 'not for verifying';
  }
  return jwk['kty'] === 'RSA' ? rsaProblem(jwk) : undefined;
}

/** e = 1 makes every message its own signature; short moduli can be factored; very long ones are slow to check. */
function rsaProblem(jwk: JsonObject): string | undefined {
  const n = bytesOf(jwk['n']);
  const e = bytesOf(jwk['e']);
  if (n === undefined || e === undefined) return 'n or e is missing or not base64url';
  const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24;
  if (bits < RSA_BITS.min || bits > RSA_BITS.max)
    return `${bits} bits, not ${RSA_BITS.min} to ${RSA_BITS.max}`;
  if (((n.at(-1) ?? 0) & 1) === 0) return 'its modulus is even';
  if (isRocaModulus(n)) return 'its modulus comes from a generator whose keys can be factored (ROCA)';
  // Four bytes hold every exponent in use; OpenSSL refuses long ones with large moduli because they are slow.
  const exponent = e.length <= 4 ? Number(`0x${e.toString('hex')}`) : 0;
  if (exponent < 65_537 || exponent % 2 === 0) return 'its exponent is not an odd number from 65537 up';
  return undefined;
}

/** An unsigned number in base64url, leading zero bytes cut (some issuers write one). */
function bytesOf(value: unknown): Buffer | undefined {
  if (typeof value !== 'string' || !/^[A-Za-z0-9_-]+$/.test(value)) return undefined;
  const bytes = Buffer.from(value, 'base64url');
  const start = bytes.findIndex((byte) => byte !== 0);
  return start === -1 ? undefined : bytes.subarray(start);
}
