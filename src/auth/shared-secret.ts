import { createHash, createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import type { HmacSpec, Verify, VerifyResult } from '../core/auth.ts';
import { TappetError } from '../core/errors.ts';
import type { SecretValue } from '../core/secrets.ts';

const DIGEST_BYTES = 32;
const PASSED: VerifyResult = { ok: true, claims: {} };
const refuse = (reason: string): VerifyResult => ({ ok: false, reason });

/** The credentials of `Authorization: Bearer …`; undefined where there are none, or several headers (joined by commas). */
export function bearerCredentials(headers: Headers): string | undefined {
  return /^bearer +([^\s,]+)$/i.exec(headers.get('authorization') ?? '')?.[1];
}

/**
 * Compares with a secret in constant time. Both sides are hashed first, so that neither the length nor a common start
 * shows in the time.
 */
export function secretComparer(secret: SecretValue): (given: string) => boolean {
  const expected = sha256(secret.reveal());
  return (given) => timingSafeEqual(expected, sha256(given));
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();

/** What one word of a header can carry; commas join repeated headers. */
const SENDABLE = /^[\x21-\x2b\x2d-\x7e]+$/;
export const isSendable = (secret: SecretValue): boolean => SENDABLE.test(secret.reveal());

/** Checks `Authorization: Bearer <secret>`. Errors: SECRET_UNREADABLE where no header can carry the secret. */
export function bearerVerifier(secret: SecretValue): Verify {
  if (!isSendable(secret)) {
    const message =
      'A bearer token holds spaces, commas or characters beyond ASCII, which no caller can send.';
    throw new TappetError('SECRET_UNREADABLE', message, { fix: 'Choose a token of letters and digits.' });
  }
  const matches = secretComparer(secret);
  return async ({ headers }) => {
    const given = bearerCredentials(headers);
    if (given === undefined) return refuse('no bearer token');
    return matches(given) ? PASSED : refuse('wrong bearer token');
  };
}

/** Checks an HMAC-SHA256 over the raw body in the configured header. */
export function hmacVerifier(spec: HmacSpec, secret: SecretValue): Verify {
  const key = createSecretKey(Buffer.from(secret.reveal(), 'utf8'));
  return async ({ headers, body }) => {
    const header = headers.get(spec.header);
    if (header === null) return refuse(`no ${spec.header} header`);
    const given = decodeDigest(header, spec);
    if (given === undefined)
      return refuse(`${spec.header} does not hold ${spec.prefix}<${spec.encoding} digest>`);
    const expected = createHmac('sha256', key).update(body).digest();
    return timingSafeEqual(expected, given) ? PASSED : refuse('wrong signature');
  };
}

/** Exactly 32 bytes in the one spelling of the encoding (hex in either case), or undefined. */
function decodeDigest(header: string, { prefix, encoding }: HmacSpec): Buffer | undefined {
  if (!header.startsWith(prefix)) return undefined;
  const text = encoding === 'hex' ? header.slice(prefix.length).toLowerCase() : header.slice(prefix.length);
  const bytes = Buffer.from(text, encoding);
  return bytes.length === DIGEST_BYTES && bytes.toString(encoding) === text ? bytes : undefined;
}
