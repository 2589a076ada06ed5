import type { IssuerSpec } from '../core/auth.ts';
import type { JsonObject } from '../core/json.ts';

export interface ClaimRules {
  readonly issuer: IssuerSpec;
  readonly audiences: ReadonlySet<string>;
}

/**
 * Checks `iss`, `aud` and the times of a token at `now` (epoch ms). Returns what is wrong, for the log, or undefined.
 * These are cheap and come before the signature, so that only a token meant for this trigger can make us look for a key.
 */
export function claimsProblem(claims: JsonObject, rules: ClaimRules, now: number): string | undefined {
  if (claims['iss'] !== rules.issuer.issuer) return "iss is not the issuer's, to the letter";
  if (!hasAudience(claims['aud'], rules.audiences)) return 'aud names none of the configured audiences';
  return timesProblem(claims, rules.issuer, now);
}

function hasAudience(aud: unknown, audiences: ReadonlySet<string>): boolean {
  if (typeof aud === 'string') return audiences.has(aud);
  if (!Array.isArray(aud)) return false;
  return aud.every((one) => typeof one === 'string') && aud.some((one) => audiences.has(one));
}

function timesProblem(claims: JsonObject, spec: IssuerSpec, now: number): string | undefined {
  const { exp, iat, nbf } = claims as { exp?: unknown; iat?: unknown; nbf?: unknown };
  if (!isDate(exp)) return 'exp is missing or not a time';
  if (!isDate(iat)) return 'iat is missing or not a time';
  if (nbf !== undefined && !isDate(nbf)) return 'nbf is not a time';
  if (exp * 1000 + spec.skewMs <= now) return 'the token has expired';
  if (iat * 1000 - spec.skewMs > now) return 'iat lies in the future';
  if ((nbf ?? iat) * 1000 - spec.skewMs > now) return 'the token is not valid yet (nbf)';
  if (exp <= iat) return 'exp is not after iat';
  if ((exp - iat) * 1000 > spec.maxLifetimeMs) return 'the token lives longer than maxLifetime allows';
  return undefined;
}

/** A NumericDate: seconds since 1970; fractions are legal. NaN is not, as it is not above anything. */
function isDate(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}
