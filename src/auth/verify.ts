import { isCredential, secretsOf } from '../core/auth.ts';
import type { AuthSpec, CredentialSpec, HmacSpec, Verify } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import { TappetError } from '../core/errors.ts';
import type { Expressions } from '../core/expression.ts';
import type { Secrets, SecretValue } from '../core/secrets.ts';
import { hmacVerifier } from './body-hmac.ts';
import { clientCertificateVerifier } from './client-certificate.ts';
import { anyOf, fromAddresses } from './combined.ts';
import type { Issuers } from './issuers.ts';
import { oidcVerifier } from './oidc.ts';
import { basicVerifier, bearerVerifier, gitlabVerifier } from './shared-secret.ts';
import { standardWebhooksVerifier } from './standard-webhooks.ts';

export interface VerifyDeps {
  readonly issuers: Pick<Issuers, 'get'>;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly expressions: Expressions;
}

const letIn: Verify = async () => ({ ok: true, claims: {} });

/**
 * Makes the check of one trigger's callers. Reads secrets now and opens no connection. `claims` is a token's payload,
 * `{ user }` for `basic`, `{ subject }` or `{ fingerprint }` for `clientCertificate`, and empty for the other kinds.
 * Errors: SECRET_UNREADABLE, EXPRESSION_INVALID, CONFIG_INVALID.
 */
export async function compileVerify(auth: AuthSpec, deps: VerifyDeps): Promise<Verify> {
  if (auth === 'none') return letIn;
  const verify = await withoutAddresses(auth, deps);
  return auth.addresses === undefined ? verify : fromAddresses(auth.addresses, verify);
}

async function withoutAddresses(auth: Exclude<AuthSpec, 'none'>, deps: VerifyDeps): Promise<Verify> {
  if ('anyOf' in auth) return anyOf(await Promise.all(auth.anyOf.map((one) => compileVerify(one, deps))));
  return isCredential(auth) ? credential(auth, deps) : letIn;
}

async function credential(auth: CredentialSpec, deps: VerifyDeps): Promise<Verify> {
  if ('hmac' in auth) return hmac(auth.hmac, deps);
  if ('bearer' in auth) return bearerVerifier(...(await secretsIn(auth.bearer, deps)));
  if ('gitlab' in auth) return gitlabVerifier(...(await secretsIn(auth.gitlab, deps)));
  if ('basic' in auth) return basicVerifier(auth.basic.user, ...(await secretsIn(auth.basic, deps)));
  if ('clientCertificate' in auth) return clientCertificateVerifier(auth.clientCertificate);
  const issuer = await deps.issuers.get(auth.oidc.issuer);
  return oidcVerifier(auth.oidc, { ...deps, issuer });
}

async function hmac(spec: HmacSpec, deps: VerifyDeps): Promise<Verify> {
  const secrets = await secretsIn(spec, deps);
  if (spec.scheme === 'standard-webhooks') return standardWebhooksVerifier(spec, secrets, deps.clock);
  return hmacVerifier(spec, secrets, deps.clock);
}

/** The port refuses empty secrets; looked at again, as one would let in whoever sends nothing. */
async function secretsIn(
  spec: Parameters<typeof secretsOf>[0],
  { secrets }: VerifyDeps,
): Promise<SecretValue[]> {
  const values = await Promise.all(secretsOf(spec).map((ref) => secrets.resolve(ref)));
  if (values.length > 0 && values.every((value) => value.reveal() !== '')) return values;
  throw new TappetError('SECRET_UNREADABLE', 'A secret that callers are checked by is empty.');
}
