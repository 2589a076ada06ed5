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
  /** Who calls, as the gateway knows it; absent = unknown, which is on no list. */
  readonly remoteAddress?: string;
  /** The other end of the connection, where a proxy there has told of another `remoteAddress`. */
  readonly peerAddress?: string;
  /** `remoteAddress` is that of a trusted proxy, which has not told for whom it calls: it is on no list. */
  readonly callerUntold?: true;
}
export type VerifyResult =
  | {
      readonly ok: true;
      readonly claims: JsonObject;
      /** Only the body is vouched for: whoever has seen one call could repeat it with other headers. Absent = the call. */
      readonly covers?: 'body';
      /** The id that is signed along with the body; no header may name another. */
      readonly id?: string;
    }
  /** `reason` is for the log, never for the sender. */
  | { readonly ok: false; readonly reason: string }
  /** The verifier cannot answer now (issuer unreachable and no key known): 503, not 401. */
  | { readonly ok: 'unavailable'; readonly reason: string; readonly retryAfter: number };

/** Checks one trigger's callers. Compiled from its `auth`. */
export type Verify = (request: VerifyRequest) => Promise<VerifyResult>;

// ---- what a user configures -----------------------------------------------------------------------------------

/** Who may call; there is no default. `addresses` beside another condition: both must hold. */
export type AuthSpec = 'none' | CallerSpec | (AnyOfSpec & FromSpec);

/** One condition, and where calls must come from; or that alone. */
export type CallerSpec = (CredentialSpec & FromSpec) | Required<FromSpec>;

interface FromSpec {
  /** Addresses and networks (CIDR), IPv4 and IPv6; never empty. */
  readonly addresses?: readonly string[];
}
interface AnyOfSpec {
  /** The first that holds counts. */
  readonly anyOf: readonly CallerSpec[];
}

export type CredentialSpec =
  | { readonly oidc: OidcSpec }
  | { readonly hmac: HmacSpec }
  | { readonly gitlab: TokenSpec }
  | { readonly bearer: TokenSpec }
  | { readonly basic: BasicSpec }
  | { readonly clientCertificate: ClientCertificateSpec };

/** Several count alike, so that a secret can be exchanged without a gap. */
export type TokenSpec = { readonly token: SecretRef } | { readonly tokens: readonly SecretRef[] };

export interface OidcSpec extends IdentitySpec {
  /** A name under `issuers`. */
  readonly issuer: string;
  /** The token's `aud` must name one of these exactly. */
  readonly audience: string | readonly string[];
  /** CEL over `claims`. */
  readonly require?: string | undefined;
  /** Whoever has a token of the issuer for the audience may call. Else a condition or `require` must say who. */
  readonly anyone?: true | undefined;
}

/** Claims that must be one of a list, to the letter; of several lists all must hold. An absent list asks for nothing. */
export interface IdentitySpec {
  /** `email`, and `email_verified` must be true. */
  readonly emails?: readonly string[] | undefined;
  /** `sub` */
  readonly subjects?: readonly string[] | undefined;
  /** GitHub's numbers, which stay when a repository is renamed: `repository_id`, `repository_owner_id`. */
  readonly repositoryIds?: readonly string[] | undefined;
  readonly repositoryOwnerIds?: readonly string[] | undefined;
  /** GitHub's `job_workflow_ref`, `ref`, `environment`, `event_name`. */
  readonly workflows?: readonly string[] | undefined;
  readonly refs?: readonly string[] | undefined;
  readonly environments?: readonly string[] | undefined;
  readonly events?: readonly string[] | undefined;
  /** Kubernetes, as `<namespace>/<name>`. */
  readonly serviceAccounts?: readonly string[] | undefined;
  readonly namespaces?: readonly string[] | undefined;
}

/** HMAC-SHA256 over the raw body (and, by scheme, a time); `standard-webhooks` takes Ed25519 too. */
export type HmacSpec = HmacScheme &
  ({ readonly secret: SecretRef } | { readonly secrets: readonly SecretRef[] });

export type HmacScheme = GenericHmac | { readonly scheme: 'github' } | TimedHmac | StandardWebhooksHmac;

/** Absent scheme = `generic`. */
export interface GenericHmac {
  readonly scheme?: 'generic';
  readonly header: string;
  /** What stands before the digest in the header. */
  readonly prefix: string;
  readonly encoding: 'hex' | 'base64';
  /** Absent = only the body is signed, whenever it was. */
  readonly timestamp?: {
    /** Carries whole seconds since 1970. */
    readonly header: string;
    /** What is signed: text with `{timestamp}` and, at its end, `{body}`. */
    readonly signed: string;
    readonly toleranceMs: number;
  };
}

/** What is not written of one; `signed` of its timestamp. */
export const GENERIC_HMAC = {
  header: 'x-hub-signature-256',
  prefix: 'sha256=',
  encoding: 'hex',
  signed: '{timestamp}.{body}',
} as const;

interface SignedTime {
  /** How far the signed time may lie from the gateway's clock, to either side. */
  readonly toleranceMs: number;
}
export interface TimedHmac extends SignedTime {
  readonly scheme: 'stripe' | 'slack';
}
export interface StandardWebhooksHmac extends SignedTime {
  readonly scheme: 'standard-webhooks';
}

export type BasicSpec = { readonly user: string } & (
  | { readonly password: SecretRef }
  | { readonly passwords: readonly SecretRef[] }
);

/** What a proxy that ends TLS says of the certificate that a caller proved to own. */
export interface ClientCertificateSpec {
  readonly header: string;
  /** Whose word counts: the addresses and networks of the proxy; never empty. */
  readonly proxies: readonly string[];
  /** What the header must hold: one of the subjects to the letter, or one of the fingerprints (hex, without colons, lower case). */
  readonly subjects?: readonly string[];
  readonly fingerprints?: readonly string[];
}

/** Whose tokens an issuer's are; decides which conditions are offered. */
export type Preset = 'google' | 'github-actions' | 'kubernetes' | 'generic';

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
  /** Keys may be read from addresses that are not on the public Internet. */
  readonly allowPrivateAddresses: boolean;
  /** How long known keys go on while the issuer cannot be read. */
  readonly maxKeyAgeMs: number;
}

/** Whether it asks for more than an address. */
export const isCredential = (auth: object): auth is CredentialSpec =>
  Object.keys(auth).some((name) => name !== 'addresses');

/** What callers may be checked by: any one of these, never none. */
export function secretsOf(spec: TokenSpec | BasicSpec | HmacSpec): readonly SecretRef[] {
  if ('tokens' in spec) return spec.tokens;
  if ('token' in spec) return [spec.token];
  if ('passwords' in spec) return spec.passwords;
  if ('password' in spec) return [spec.password];
  return 'secrets' in spec ? spec.secrets : [spec.secret];
}

/** A fingerprint in the one spelling in which it is compared: proxies write colons and upper case, or neither. */
export const plainFingerprint = (text: string): string => text.replaceAll(':', '').toLowerCase();
