import type { OidcSpec, Verify, VerifyResult } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import type { Expressions } from '../core/expression.ts';
import { signatureHolds } from './algorithms.ts';
import { claimsProblem } from './claims.ts';
import type { Issuer } from './issuers.ts';
import { parseToken } from './jws.ts';
import { bearerCredentials } from './shared-secret.ts';

export interface OidcDeps {
  readonly issuer: Issuer;
  readonly clock: Clock;
  readonly expressions: Expressions;
}

const refuse = (reason: string): VerifyResult => ({ ok: false, reason });

/**
 * Checks `Authorization: Bearer <token>` against one issuer, in this order: form, header, issuer, audience and times,
 * then the key and the signature, then `require`. Errors: EXPRESSION_INVALID.
 */
export function oidcVerifier(spec: OidcSpec, { issuer, clock, expressions }: OidcDeps): Verify {
  const audiences = new Set(typeof spec.audience === 'string' ? [spec.audience] : spec.audience);
  const algorithms = new Set(issuer.spec.algorithms);
  const condition = expressions.condition(spec.require, ['claims']);
  return async ({ headers }) => {
    const credentials = bearerCredentials(headers);
    if (credentials === undefined) return refuse('no bearer token');
    const parsed = parseToken(credentials, algorithms);
    if (!parsed.ok) return parsed;
    const { alg, kid, payload, signed, signature } = parsed.token;
    const problem = claimsProblem(payload, { issuer: issuer.spec, audiences }, clock.now());
    if (problem !== undefined) return refuse(problem);
    const found = await issuer.keys.lookup(kid, alg);
    if (found.state === 'unavailable')
      return { ok: 'unavailable', reason: found.reason, retryAfter: found.retryAfter };
    if (found.state === 'unknown') return refuse('no key of the issuer fits the token');
    if (!signatureHolds(alg, found.key.key, signed, signature)) return refuse('wrong signature');
    const answer = condition.evaluate({ claims: payload });
    if (!answer.ok) return refuse(`require could not be evaluated: ${answer.error}`);
    return answer.value ? { ok: true, claims: payload } : refuse(`require was not met: ${answer.clause}`);
  };
}
