import { createHmac, createPublicKey, createSecretKey, verify, type KeyObject } from 'node:crypto';
import type { StandardWebhooksHmac, Verify, VerifyResult } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import { TappetError } from '../core/errors.ts';
import type { SecretValue } from '../core/secrets.ts';
import { MAX_SIGNATURES } from './body-hmac.ts';
import { anyEqual, exactBytes } from './comparisons.ts';
import { timeProblem } from './replay-window.ts';

/** One use and one form per prefix: a public key must never become the key of an HMAC, which anyone could then make. */
export type StandardKey =
  | { readonly version: 'v1'; readonly key: KeyObject }
  | { readonly version: 'v1a'; readonly key: KeyObject };
type ParsedKey =
  | { readonly ok: true; readonly key: StandardKey }
  | { readonly ok: false; readonly problem: string };

const SECRET_PREFIX = 'whsec_';
const PUBLIC_PREFIX = 'whpk_';
const PRIVATE_PREFIX = 'whsk_';
const PUBLIC_KEY_BYTES = 32;
/** The standard has senders make 24 to 64; below 16 one call would be enough to find the secret by trying. */
const MIN_SECRET_BYTES = 16;
const DIGEST_BYTES = 32;
const ED25519_BYTES = 64;
/** A full stop parts id, time and body in the signed text, so none may stand in an id; a comma joins repeated headers. */
const ID = /^[\x21-\x2b\x2d\x2f-\x7e]{1,256}$/;

/** The key of the standard's texts: `whsec_` or no prefix = base64 of a shared secret, `whpk_` = of an Ed25519 public key. */
export function parseStandardKey(secret: SecretValue): ParsedKey {
  const text = secret.reveal();
  if (text.startsWith(PRIVATE_PREFIX)) {
    return {
      ok: false,
      problem: "is the sender's private key: put its public key here, which begins with whpk_",
    };
  }
  if (text.startsWith(PUBLIC_PREFIX)) return parsePublic(text.slice(PUBLIC_PREFIX.length));
  const bytes = decode(text.startsWith(SECRET_PREFIX) ? text.slice(SECRET_PREFIX.length) : text);
  if (bytes === undefined) {
    return {
      ok: false,
      problem: 'is not a Standard Webhooks secret: whsec_ and base64, or whpk_ and base64',
    };
  }
  if (bytes.length < MIN_SECRET_BYTES) {
    return {
      ok: false,
      problem: `is shorter than ${MIN_SECRET_BYTES} bytes: have the sender make a longer one`,
    };
  }
  return { ok: true, key: { version: 'v1', key: createSecretKey(bytes) } };
}

function parsePublic(text: string): ParsedKey {
  const bytes = decode(text);
  if (bytes?.length !== PUBLIC_KEY_BYTES) {
    return {
      ok: false,
      problem: `is not an Ed25519 public key: whpk_ and the base64 of ${PUBLIC_KEY_BYTES} bytes`,
    };
  }
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') };
  return { ok: true, key: { version: 'v1a', key: createPublicKey({ key: jwk, format: 'jwk' }) } };
}

/** Base64 in its one spelling; the padding may be left out. */
function decode(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64').replace(/={1,2}$/, '') === text.replace(/={1,2}$/, '') ? bytes : undefined;
}

/**
 * Checks a call by Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` and `webhook-signature` (or the same of
 * `svix-`), each `v1` signature by the shared secrets and each `v1a` by the public keys. Errors: SECRET_UNREADABLE.
 */
export function standardWebhooksVerifier(
  { toleranceMs }: StandardWebhooksHmac,
  secrets: readonly SecretValue[],
  clock: Clock,
): Verify {
  const keys = secrets.map(keyOf);
  return async ({ headers, body }) => {
    const prefix = headers.has('webhook-signature') || !headers.has('svix-signature') ? 'webhook' : 'svix';
    const id = headers.get(`${prefix}-id`) ?? '';
    if (!ID.test(id)) return refuse(`${prefix}-id is missing, or holds a full stop, a comma or a space`);
    const time = headers.get(`${prefix}-timestamp`) ?? '';
    const problem = timeProblem(time, toleranceMs, clock.now());
    if (problem !== undefined) return refuse(problem);
    const signatures = (headers.get(`${prefix}-signature`) ?? '').split(' ');
    if (signatures.length > MAX_SIGNATURES) return refuse('too many signatures');
    const signed = Buffer.concat([Buffer.from(`${id}.${time}.`), body]);
    if (!signatureHolds(keys, signatures, signed)) return refuse(`no signature of ${prefix}-signature fits`);
    return { ok: true, claims: {}, covers: 'body', id };
  };
}

function keyOf(secret: SecretValue): StandardKey {
  const parsed = parseStandardKey(secret);
  if (parsed.ok) return parsed.key;
  throw new TappetError('SECRET_UNREADABLE', `The secret of a webhook ${parsed.problem}`);
}

/** Tries every key with every signature of its kind that counts, whatever the others said. */
function signatureHolds(
  keys: readonly StandardKey[],
  signatures: readonly string[],
  signed: Buffer,
): boolean {
  const digests = bytesOf('v1,', DIGEST_BYTES, signatures);
  // Checked before anything is known of who calls, and dear: no sender has more keys at a time than an old and a new one.
  const signatures25519 = bytesOf('v1a,', ED25519_BYTES, signatures).slice(0, 2);
  let found = false;
  for (const { version, key } of keys) {
    const holds =
      version === 'v1'
        ? anyEqual([createHmac('sha256', key).update(signed).digest()], digests)
        : signatures25519.map((one) => verify(null, signed, key, one)).includes(true);
    found = holds || found;
  }
  return found;
}

/** Those that have the form; a sender may add versions that we do not know. */
const bytesOf = (prefix: string, length: number, signatures: readonly string[]): Buffer[] =>
  signatures.flatMap((text) =>
    text.startsWith(prefix) ? (exactBytes(text.slice(prefix.length), 'base64', length) ?? []) : [],
  );

const refuse = (reason: string): VerifyResult => ({ ok: false, reason });
