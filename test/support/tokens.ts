import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { JsonObject } from '../../src/core/json.ts';

export const ALGS = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const;
export type Alg = (typeof ALGS)[number];

export interface TestKey {
  readonly alg: Alg;
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly jwk: JsonObject;
}

/** A key for each algorithm. Those for RSA are one: its primes take long to find. */
export function makeKeys(): Map<Alg, TestKey> {
  const rsa = generate('RS256');
  return new Map(
    ALGS.map((alg) => [alg, makeKey(alg, `key-${alg}`, /^[RP]S/.test(alg) ? rsa : generate(alg))]),
  );
}

export function makeKey(alg: Alg, kid: string, pair = generate(alg)): TestKey {
  const { publicKey, privateKey } = pair;
  const jwk = { ...(publicKey.export({ format: 'jwk' }) as JsonObject), kid, alg, use: 'sig' };
  return { alg, kid, publicKey, privateKey, jwk };
}

function generate(alg: Alg): { publicKey: KeyObject; privateKey: KeyObject } {
  if (alg === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

export const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** Signs any two texts, valid JSON or not. */
export function signRaw(header: string, payload: string, alg: Alg, key: KeyObject): string {
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${signature(Buffer.from(signed), alg, key).toString('base64url')}`;
}

export function signature(signed: Buffer, alg: Alg, key: KeyObject): Buffer {
  if (alg === 'EdDSA') return sign(null, signed, key);
  if (alg === 'ES256') return sign('sha256', signed, { key, dsaEncoding: 'ieee-p1363' });
  if (alg === 'RS256') return sign('sha256', signed, key);
  return sign('sha256', signed, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
}
