import type { JsonObject } from './json.ts';
import type { SecretRef } from './secrets.ts';
import type { Permission } from './permissions.ts';

/** Who makes an API request. */
export interface Principal {
  /** `[a-z0-9-]+`; stands in creator fields and origins. */
  readonly name: string;
  readonly permissions: ReadonlySet<Permission>;
}

export interface Auth {
  /** The principal of an API request, or undefined where the credentials are absent or wrong. */
  authenticate(headers: Headers): Promise<Principal | undefined>;
}

/** What the sender of a webhook presents. `body` is the raw bytes, before anything parsed them. */
export interface VerifyRequest {
  readonly headers: Headers;
  readonly body: Uint8Array;
}
export type VerifyResult =
  | { readonly ok: true; readonly claims: JsonObject }
  /** `reason` is for the log, never for the sender. */
  | { readonly ok: false; readonly reason: string }
  /** The verifier cannot answer now (issuer unreachable and no key known): 503, not 401. */
  | { readonly ok: 'unavailable'; readonly reason: string; readonly retryAfter: number };

/** Checks one trigger's callers. Compiled from its `auth`. */
export type Verify = (request: VerifyRequest) => Promise<VerifyResult>;

// ---- what a user configures -----------------------------------------------------------------------------------

/** Exactly one of these stands in a webhook's `auth`; there is no default. */
export type AuthSpec =
  | { readonly oidc: OidcSpec }
  | { readonly hmac: HmacSpec }
  | { readonly bearer: { readonly token: SecretRef } }
  | 'none';

export interface OidcSpec {
  /** A name under `issuers`. */
  readonly issuer: string;
  /** The token's `aud` must name one of these exactly. */
  readonly audience: string | readonly string[];
  /** CEL over `claims`; at least one identity condition is mandatory. */
  readonly require: string;
}

export interface HmacSpec {
  readonly secret: SecretRef;
  /** Default `x-hub-signature-256`. */
  readonly header: string;
  /** What stands before the digest in the header; default `sha256=`. */
  readonly prefix: string;
  readonly encoding: 'hex' | 'base64';
}

/** A trusted token issuer. `iss` must equal `issuer` to the letter. */
export interface IssuerSpec {
  readonly issuer: string;
  /** Absent = by discovery (`<issuer>/.well-known/openid-configuration`). */
  readonly jwks?: { readonly url: string } | { readonly keys: readonly JsonObject[] };
  readonly algorithms: readonly string[];
  /** Allowed difference between clocks. */
  readonly skewMs: number;
  /** Longest accepted `exp - iat`. */
  readonly maxLifetimeMs: number;
  /** Plain http for discovery and keys; only for loopback and closed networks. */
  readonly allowHttp: boolean;
}
