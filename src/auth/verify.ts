import type { AuthSpec, Verify } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import type { Expressions } from '../core/expression.ts';
import type { Secrets } from '../core/secrets.ts';
import type { Issuers } from './issuers.ts';
import { oidcVerifier } from './oidc.ts';
import { bearerVerifier, hmacVerifier } from './shared-secret.ts';

export interface VerifyDeps {
  readonly issuers: Pick<Issuers, 'get'>;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly expressions: Expressions;
}

/**
 * Makes the check of one trigger's callers. Reads secrets now and opens no connection. `claims` is a token's payload,
 * and empty for the other kinds. Errors: SECRET_UNREADABLE, EXPRESSION_INVALID, CONFIG_INVALID.
 */
export async function compileVerify(auth: AuthSpec, deps: VerifyDeps): Promise<Verify> {
  if (auth === 'none') return async () => ({ ok: true, claims: {} });
  if ('hmac' in auth) return hmacVerifier(auth.hmac, await deps.secrets.resolve(auth.hmac.secret));
  if ('bearer' in auth) return bearerVerifier(await deps.secrets.resolve(auth.bearer.token));
  const issuer = await deps.issuers.get(auth.oidc.issuer);
  return oidcVerifier(auth.oidc, { ...deps, issuer });
}
