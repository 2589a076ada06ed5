import type { SecretValue } from '../core/secrets.ts';
import { tokenProblem } from './shared-secret.ts';
import { parseStandardKey } from './standard-webhooks.ts';

/** What is wrong with the form of a secret that callers are checked by, or undefined. Never names the secret. */
export function secretFormProblem(form: string, scheme: unknown, secret: SecretValue): string | undefined {
  if (form === 'bearer' || form === 'gitlab') return tokenProblem(secret);
  if (form !== 'hmac' || scheme !== 'standard-webhooks') return undefined;
  const parsed = parseStandardKey(secret);
  return parsed.ok ? undefined : parsed.problem;
}
