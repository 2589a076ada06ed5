import type { SecretValue } from '../core/secrets.ts';
import { tokenProblem } from './shared-secret.ts';
import { parseStandardKey } from './standard-webhooks.ts';

/** 16 characters of hex are 64 bits, too many to try, also for who has seen a signed call and tries at home. */
const MIN_BYTES = 16;

/** What is wrong with the form of a secret that callers are checked by, or undefined. Never names the secret. */
export function secretFormProblem(form: string, scheme: unknown, secret: SecretValue): string | undefined {
  if (form === 'bearer' || form === 'gitlab') return tokenProblem(secret);
  if (form !== 'hmac' || scheme !== 'standard-webhooks') return undefined;
  const parsed = parseStandardKey(secret);
  return parsed.ok ? undefined : parsed.problem;
}

/** What is doubtful about a secret that is taken all the same, or undefined. Never names the secret. */
export function secretDoubt(secret: SecretValue): string | undefined {
  if (Buffer.byteLength(secret.reveal()) >= MIN_BYTES) return undefined;
  return `is shorter than ${MIN_BYTES} bytes, and might be found by trying: have a longer one made, as by openssl rand -hex 32`;
}
