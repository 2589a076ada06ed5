import type { AdmissionSettings } from './admission.ts';
import type { AuthSpec, IssuerSpec, Preset } from './auth.ts';
import type { EngineLimits } from './engine-limits.ts';
import type { ConnectionSpec } from './objects.ts';
import type { Limits, JobSpec } from './job.ts';
import type { NotifySpec, ReceiverSpec } from './notify.ts';
import type { PullLimits, RegistrySpec } from './registry.ts';
import type { Json, JsonObject } from './json.ts';
import type { CloudEvent, Origin } from './event.ts';
import type { RunMapping } from './trigger.ts';
import type { Condition, Scope, Template } from './expression.ts';
import type { SecretRef } from './secrets.ts';

/** The whole configuration: validated, every default filled in, every expression compiled, frozen. */
export interface Config {
  readonly server: ServerSettings;
  readonly issuers: ReadonlyMap<string, IssuerSpec>;
  readonly connections: ReadonlyMap<string, ConnectionSpec>;
  /** Who is told of executions. */
  readonly notifications: ReadonlyMap<string, ReceiverSpec>;
  readonly jobs: ReadonlyMap<string, JobDefinition>;
  readonly triggers: ReadonlyMap<string, TriggerDefinition>;
}

export interface ServerSettings {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly dataDir: string;
  readonly maxBodyBytes: number;
  /** Webhooks may let in anyone where other machines reach them. */
  readonly allowAnonymous: boolean;
  /** Of calls to hooks from one address (of IPv6: from one /64); null = none. */
  readonly rateLimit: RateLimit | null;
  /** Addresses and networks of proxies whose word about who calls counts. */
  readonly trustedProxies: readonly string[];
  /** Containers at the same time; null = as many as there is room for. */
  readonly maxRunningTasks: number | null;
  readonly admission: AdmissionSettings;
  readonly limits: Limits;
  /** Host folders (absolute, resolved) below which jobs may bind. */
  readonly allowedBinds: readonly string[];
  /** Decided events are kept this long. */
  readonly eventRetentionMs: number;
  readonly engine: EngineLimits;
  readonly pulls: PullLimits;
  /** Accounts by `host[:port]`; Docker Hub is `docker.io`. */
  readonly registries: Readonly<Record<string, RegistrySpec>>;
  /** Which images jobs may run; null = every one. See `lib/image-pattern.ts`. */
  readonly allowedImages: readonly string[] | null;
  /** null = images are never removed. */
  readonly imagePrune: { readonly unusedForMs: number } | null;
  /** Of jobs that say nothing else; they have it in their specs already. null = nobody. */
  readonly notify: NotifySpec | null;
}

/** So many calls at once, and as many again in each `perMs`, evenly. */
export interface RateLimit {
  readonly requests: number;
  readonly perMs: number;
}

/** What plans are checked against. */
export function limitsOf({
  limits,
  allowedImages,
}: Pick<ServerSettings, 'limits' | 'allowedImages'>): Limits {
  return allowedImages === null ? limits : { ...limits, allowedImages };
}

export interface JobDefinition {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: JobSpec;
  /**
   * Each address in `spec.inputs` and `spec.outputs` that holds `${{`, compiled, by its text. It may read `event`,
   * `claims`, `trigger` and `task`. Absent = there is none.
   */
  readonly addresses?: ReadonlyMap<string, Template>;
  /** Hash of the definition. */
  readonly etag: string;
}

export interface TriggerDefinition {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly source: SourceSpec;
  readonly origin: Origin;
  /** Whether an event of its origin is for it at all; absent = each is. Pure; no decision is stored where it is false. */
  readonly concerns?: (event: CloudEvent) => boolean;
  /** Of a webhook with an `id`: names an event, over `event`, `claims` and `headers`. */
  readonly identify?: Template;
  /** Of a webhook with an `answer`. */
  readonly answer?: AnswerTemplates;
  /** Of a webhook that takes signed tokens: of which issuers, by name. */
  readonly issuers?: Readonly<Record<string, Preset>>;
  readonly when: Condition | null;
  readonly run: RunMapping;
  readonly etag: string;
  /** As written, secret references and all (never secret values), for readers. */
  readonly definition: JsonObject;
}

/** What a kind's own `config.ts` parses to. */
export type SourceSpec =
  | { readonly kind: 'cron'; readonly cron: string; readonly zone: string }
  | WebhookSourceSpec
  | StorageSourceSpec
  | FilesSourceSpec;

export interface WebhookSourceSpec {
  readonly kind: 'webhook';
  readonly auth: AuthSpec;
  /** Text of the template that names an event; absent = what the sender calls it. */
  readonly id?: string;
  /** How long a known id makes a duplicate; absent = 24 h. */
  readonly rememberMs?: number;
  /** Absent = CloudEvents in any mode, or whatever else is sent. */
  readonly format?: 'pubsub';
  /** Each body becomes a file of at most so many bytes, the event's `event.body`; absent = it is read as data. */
  readonly bodyFile?: { readonly maxBytes: number };
  /** Of verified calls; absent = none. */
  readonly rateLimit?: RateLimit;
  /** Which senders of CloudEvents may ask for permission to send (`WebHook-Request-Origin`); `*` = all. Absent = none. */
  readonly allowedOrigins?: readonly string[];
  /** What callers hear; absent = at once, and what became of the event. */
  readonly answer?: AnswerSpec;
  /** How the sender sees that this address is meant to get its events; absent = it does not ask. */
  readonly challenge?: 'slack' | 'microsoft' | { readonly meta: { readonly verifyToken: SecretRef } };
}

export interface AnswerSpec {
  /** So long at most for the end of the execution; absent = not at all. */
  readonly waitMs?: number;
  /** A number, or the text of a template. */
  readonly status?: number | string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Texts in it are templates. */
  readonly body?: Json;
}
/** An `AnswerSpec`, compiled over `event`, `claims` and `execution`. */
export interface AnswerTemplates {
  /** Whether it says anything but how long to wait. */
  readonly words: boolean;
  /** Whether any of it reads `execution`. */
  readonly readsExecution: boolean;
  readonly status?: number | Template;
  readonly headers: readonly (readonly [name: string, value: Template])[];
  /** Errors: those of the first template that cannot be rendered. */
  readonly body?: (scope: Scope) => Json;
}

export interface StorageSourceSpec {
  readonly kind: 'storage';
  /** A name under `connections`. */
  readonly connection: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly suffix: string;
  /** What becomes of objects older than the trigger's first start: nothing, or an event each. */
  readonly existing: 'skip' | 'run';
}

export interface FilesSourceSpec {
  readonly kind: 'files';
  /** The watched folder; absolute, resolved. */
  readonly path: string;
  /** Over paths below it, with `/`. */
  readonly glob: string;
  readonly existing: 'skip' | 'run';
  /** A file is settled when size and mtime stayed the same for so long. */
  readonly settleMs: number;
  /** Looks at the folder by itself so often; for file systems that tell nothing (NFS). 0 = only by the system's events and a scan each minute. */
  readonly pollMs: number;
}
