import type { OidcSpec, Verify, VerifyResult } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import { TappetError } from '../core/errors.ts';
import type { Condition, Expressions } from '../core/expression.ts';
import type { JsonObject } from '../core/json.ts';
import { signatureHolds } from './algorithms.ts';
import { claimsProblem } from './claims.ts';
import { identityCheck, saysWho } from './identity.ts';
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
 * then the key and the signature, then who calls. Errors: EXPRESSION_INVALID; CONFIG_INVALID where nothing says who may
 * call, and not that anyone may.
 */
export function oidcVerifier(spec: OidcSpec, { issuer, clock, expressions }: OidcDeps): Verify {
  const audiences = new Set(typeof spec.audience === 'string' ? [spec.audience] : spec.audience);
  const algorithms = new Set(issuer.spec.algorithms);
  const who = callerCheck(spec, expressions);
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
    const stranger = who(payload);
    return stranger === undefined ? { ok: true, claims: payload } : refuse(stranger);
  };
}

/** undefined where a token's claims are those of someone who may call; else why not, for the log. */
function callerCheck(spec: OidcSpec, expressions: Expressions): (claims: JsonObject) => string | undefined {
  if (spec.anyone !== true && !saysWho(spec)) {
    // Anyone can get a token of a public issuer for any audience.
    const message = `Nothing says who of the issuer ${spec.issuer} may call.`;
    throw new TappetError('CONFIG_INVALID', message, { fix: 'Name them, or write "anyone": true.' });
  }
  const listed = identityCheck(spec);
  if (spec.require === undefined) return listed;
  const condition = expressions.condition(spec.require, ['claims']);
  return (claims) => listed(claims) ?? unmet(condition, claims);
}

function unmet(condition: Condition, claims: JsonObject): string | undefined {
  const answer = condition.evaluate({ claims });
  if (!answer.ok) return `require could not be evaluated: ${answer.error}`;
  return answer.value ? undefined : `require was not met: ${answer.clause}`;
}
