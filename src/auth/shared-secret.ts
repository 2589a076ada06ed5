import type { Verify, VerifyResult } from '../core/auth.ts';
import { TappetError } from '../core/errors.ts';
import { SecretValue } from '../core/secrets.ts';
import { exactBytes, secretComparer } from './comparisons.ts';

const PASSED: VerifyResult = { ok: true, claims: {} };
const refuse = (reason: string): VerifyResult => ({ ok: false, reason });

/** The credentials of `Authorization: Bearer …`; undefined where there are none, or several headers (joined by commas). */
export function bearerCredentials(headers: Headers): string | undefined {
  return /^bearer +([^\s,]+)$/i.exec(headers.get('authorization') ?? '')?.[1];
}

/** What one word of a header can carry; commas join repeated headers. */
const SENDABLE = /^[\x21-\x2b\x2d-\x7e]+$/;
export const isSendable = (secret: SecretValue): boolean => SENDABLE.test(secret.reveal());

/** What is wrong with a secret that a header must carry as one word, or undefined. */
export function tokenProblem(secret: SecretValue): string | undefined {
  if (isSendable(secret)) return undefined;
  return 'holds spaces, commas or characters beyond ASCII, which no caller can send: choose a token of letters and digits';
}

function checkToken(secret: SecretValue): void {
  const problem = tokenProblem(secret);
  if (problem !== undefined) throw new TappetError('SECRET_UNREADABLE', `The token of a webhook ${problem}.`);
}

/** Checks `Authorization: Bearer <one of the tokens>`. Errors: SECRET_UNREADABLE where no header can carry a token. */
export function bearerVerifier(...tokens: readonly SecretValue[]): Verify {
  tokens.forEach(checkToken);
  const matches = secretComparer(...tokens);
  return async ({ headers }) => {
    const given = bearerCredentials(headers);
    if (given === undefined) return refuse('no bearer token');
    return matches(given) ? PASSED : refuse('wrong bearer token');
  };
}

/** Checks GitLab's `X-Gitlab-Token`. Errors: SECRET_UNREADABLE where no header can carry a token. */
export function gitlabVerifier(...tokens: readonly SecretValue[]): Verify {
  tokens.forEach(checkToken);
  const matches = secretComparer(...tokens);
  return async ({ headers }) => {
    const given = headers.get('x-gitlab-token');
    if (given === null) return refuse('no x-gitlab-token header');
    return matches(given) ? PASSED : refuse('wrong x-gitlab-token');
  };
}

/** Checks `Authorization: Basic …` (RFC 7617, UTF-8). `claims` is `{ user }`. */
export function basicVerifier(user: string, ...passwords: readonly SecretValue[]): Verify {
  const matches = secretComparer(
    ...passwords.map((password) => new SecretValue(`${user}:${password.reveal()}`)),
  );
  return async ({ headers }) => {
    const text = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(headers.get('authorization') ?? '')?.[1];
    if (text === undefined) return refuse('no basic credentials');
    const given = exactBytes(text, 'base64', Buffer.byteLength(text, 'base64'));
    if (given === undefined) return refuse('basic credentials that are not base64');
    return matches(given) ? { ok: true, claims: { user } } : refuse('wrong user or password');
  };
}
