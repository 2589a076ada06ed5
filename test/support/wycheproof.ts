import { constants, createHmac, createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../src/core/json.ts';

/** One vector of Wycheproof: a token, the keys that may check it, and whether it is good. */
export interface Vector {
  readonly name: string;
  readonly group: string;
  readonly keys: readonly JsonObject[];
  /** What the sender signs with. */
  readonly signers: readonly JsonObject[];
  readonly token: string;
  readonly valid: boolean;
}

interface File {
  readonly testGroups: readonly {
    readonly comment: string;
    readonly public?: JsonObject;
    readonly private?: JsonObject;
    readonly tests: readonly {
      readonly tcId: number;
      readonly comment: string;
      readonly jws?: string;
      readonly jwe?: string;
      readonly result: 'valid' | 'invalid';
    }[];
  }[];
}

/** The vectors of one file. Those of JWE are taken as what they are to us: tokens that no one may get in with. */
export function readVectors(kind: 'signature' | 'key' | 'crypto'): Vector[] {
  const url = new URL(`../fixtures/wycheproof/json_web_${kind}_test.json`, import.meta.url);
  const file = JSON.parse(readFileSync(url, 'utf8')) as File;
  return file.testGroups.flatMap((group, index) => {
    const keys = keysIn(group.public ?? group.private);
    const signers = keysIn(group.private);
    return group.tests.map(({ tcId, comment, jws, jwe, result }) => {
      // Three are written in the JSON form, which is an object here and a text there.
      const token: unknown = jws ?? jwe;
      return {
        name: `${kind} ${tcId}: ${group.comment}, ${comment}`,
        group: `${kind}-${index}`,
        keys,
        signers,
        token: typeof token === 'string' ? token : JSON.stringify(token),
        valid: result === 'valid' && jws !== undefined,
      };
    });
  });
}

const keysIn = (jwk: JsonObject = {}): JsonObject[] =>
  Array.isArray(jwk['keys']) ? (jwk['keys'] as JsonObject[]) : [jwk];

/** A good vector of a key that an issuer may publish, as the token itself and its one key say; read by nothing of ours. */
export function isOfPublicKey({ valid, token, keys: [key, ...more] }: Vector): boolean {
  // An empty payload holds no claims.
  if (!valid || token.includes('..')) return false;
  const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as JsonObject;
  return (
    more.length === 0 && key?.['kty'] !== 'oct' && key?.['alg'] === header['alg'] && header['alg'] !== 'ES521'
  );
}

/** The vector with another payload, and the signature that it had. */
export function withPayload({ token }: Vector, payload: string): string {
  const [header = '', , ...rest] = token.split('.');
  return [header, payload, ...rest].join('.');
}

/**
 * A token of the vector's header over another payload, signed by its first key as the `alg` of the header says. undefined
 * where that key cannot sign so.
 */
export function signedAnew({ token, signers: [jwk = {}] }: Vector, payload: string): string | undefined {
  const [header = ''] = token.split('.');
  const signed = Buffer.from(`${header}.${payload}`);
  try {
    const { alg } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { alg: string };
    return `${signed.toString()}.${signatureOf(alg, jwk, signed).toString('base64url')}`;
  } catch {
    return undefined;
  }
}

/** Errors: there is no such algorithm, or the key is none for it. */
function signatureOf(alg: string, jwk: JsonObject, signed: Buffer): Buffer {
  const hash = `sha${alg.slice(2)}`;
  if (alg.startsWith('HS'))
    return createHmac(hash, Buffer.from(String(jwk['k']), 'base64url'))
      .update(signed)
      .digest();
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  if (alg.startsWith('ES')) return sign(hash, signed, { key, dsaEncoding: 'ieee-p1363' });
  if (alg.startsWith('RS')) return sign(hash, signed, key);
  const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants;
  return sign(hash, signed, { key, padding, saltLength });
}
