import type { IssuerSpec } from '../../src/core/auth.ts';
import type { Secrets } from '../../src/core/secrets.ts';
import { SecretValue } from '../../src/core/secrets.ts';

export const ISSUER = 'https://issuer.example';
export const AUDIENCE = 'https://gateway.example/hooks/call';

/** An issuer as the configuration gives it, defaults filled in. */
export function issuerSpec(change: Partial<IssuerSpec> = {}): IssuerSpec {
  return {
    issuer: ISSUER,
    algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
    skewMs: 30_000,
    maxLifetimeMs: 24 * 60 * 60_000,
    allowHttp: false,
    allowPrivateAddresses: false,
    maxKeyAgeMs: 24 * 60 * 60_000,
    ...change,
  };
}

/** Gives the name of the variable, the file or the stored secret as its value. */
export const nameIsValue: Secrets = {
  resolve: async (ref) => new SecretValue('env' in ref ? ref.env : 'file' in ref ? ref.file : ref.secret),
};
