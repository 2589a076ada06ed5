import type { JsonWebKey } from 'node:crypto';
import type { JsonObject } from '../../src/core/json.ts';

export interface OidcIssuer {
  readonly issuer: string;
  readonly jwksUrl: string;
  readonly keys: readonly (JsonWebKey & { readonly kid: string; readonly alg: string })[];
  readonly requests: readonly string[];
  readonly client: { readonly id: string; readonly secret: string };
  /** An access token (`at+jwt`) of ten minutes; `claims` come last, so they may replace `exp`, `aud`, … */
  token(wanted: { audience: string; claims?: JsonObject; algorithm?: 'RS256' | 'ES256' }): Promise<string>;
  /** Publishes the keys that it will sign with after the next `rotate`, as issuers of the Internet do. */
  announce(): void;
  /**
   * From now on it signs with new keys, those that were announced if any were; those that signed until now are still
   * published, until the next time.
   */
  rotate(): void;
  /** From now on its keys are answered so much later; 0 = at once. */
  slowKeys(afterMs: number): void;
  close(): Promise<void>;
}
export function startOidcIssuer(options?: { readonly port?: number }): Promise<OidcIssuer>;
