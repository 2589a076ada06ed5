import type { SecretRef, SecretValue } from './secrets.ts';

/** Of one pull, in ms. */
export interface PullLimits {
  readonly timeoutMs: number;
  /** Without any progress. */
  readonly idleMs: number;
}

export const PULL_DEFAULTS: PullLimits = { timeoutMs: 10 * 60_000, idleMs: 2 * 60_000 };

/** Where a registry's account stands; `dockerConfig` is the absolute path of a `config.json` that `docker login` wrote. */
export type RegistrySpec =
  | { readonly username: string | SecretRef; readonly password: SecretRef }
  | { readonly dockerConfig: string };

export type RegistryAccount =
  | { readonly username: string; readonly password: SecretValue }
  /** What some registries give instead of a password. */
  | { readonly identityToken: SecretValue };

export interface Registries {
  /** The account for `host[:port]`, read anew at each call; undefined = none is configured. Errors: SECRET_UNREADABLE. */
  account(host: string): Promise<RegistryAccount | undefined>;
}
