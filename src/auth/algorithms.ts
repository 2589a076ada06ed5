import { constants, verify, type KeyObject, type VerifyKeyObjectInput } from 'node:crypto';

interface Algorithm {
  readonly kty: 'RSA' | 'EC' | 'OKP';
  readonly crv?: string;
  /** null: the algorithm hashes by itself. */
  readonly hash: string | null;
  readonly options: Omit<VerifyKeyObjectInput, 'key'>;
}

const PKCS1 = { padding: constants.RSA_PKCS1_PADDING };
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
/** JWS writes r and s side by side; OpenSSL's default would be DER. */
const RAW = { dsaEncoding: 'ieee-p1363' } as const;

/**
 * Every signature algorithm that an issuer may use. Public-key only: a shared secret (`HS256`) could be confused with
 * the public key, and `none` signs nothing.
 */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ['RS256', { kty: 'RSA', hash: 'sha256', options: PKCS1 }],
  ['RS384', { kty: 'RSA', hash: 'sha384', options: PKCS1 }],
  ['RS512', { kty: 'RSA', hash: 'sha512', options: PKCS1 }],
  ['PS256', { kty: 'RSA', hash: 'sha256', options: PSS }],
  ['PS384', { kty: 'RSA', hash: 'sha384', options: PSS }],
  ['PS512', { kty: 'RSA', hash: 'sha512', options: PSS }],
  ['ES256', { kty: 'EC', crv: 'P-256', hash: 'sha256', options: RAW }],
  ['ES384', { kty: 'EC', crv: 'P-384', hash: 'sha384', options: RAW }],
  ['ES512', { kty: 'EC', crv: 'P-521', hash: 'sha512', options: RAW }],
  ['EdDSA', { kty: 'OKP', crv: 'Ed25519', hash: null, options: {} }],
  ['Ed25519', { kty: 'OKP', crv: 'Ed25519', hash: null, options: {} }],
]);

export const knownAlgorithms = (): string[] => [...ALGORITHMS.keys()];

/** What a published key says about itself. */
export interface KeyUse {
  readonly kty: string;
  readonly crv: string | undefined;
  /** The one algorithm that it is for, where it names one. */
  readonly alg: string | undefined;
}

/** Whether a key may check signatures of `alg`: never by the token's word alone. */
export function fits(key: KeyUse, alg: string): boolean {
  const algorithm = ALGORITHMS.get(alg);
  if (algorithm === undefined || key.kty !== algorithm.kty || key.crv !== algorithm.crv) return false;
  return key.alg === undefined || key.alg === alg;
}

/**
 * Checks a signature on the calling thread. Measured on Node 20, RSA 2048, processor time per check: 30 µs, against
 * 40 to 60 µs (50 at a time) and 70 to 97 µs (one at a time) through WebCrypto, which goes by way of the thread pool.
 */
export function signatureHolds(
  alg: string,
  key: KeyObject,
  signed: Uint8Array,
  signature: Uint8Array,
): boolean {
  const algorithm = ALGORITHMS.get(alg);
  if (algorithm === undefined) return false;
  const { hash, options } = algorithm;
  try {
    return verify(hash, signed, { key, ...options }, signature);
  } catch {
    // OpenSSL throws for some malformed signatures, and for keys of another kind, instead of answering no.
    return false;
  }
}
