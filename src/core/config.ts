import type { AdmissionSettings } from './admission.ts';
import type { AuthSpec, IssuerSpec } from './auth.ts';
import type { EngineLimits } from './engine-limits.ts';
import type { ConnectionSpec } from './objects.ts';
import type { Limits, JobSpec } from './job.ts';
import type { PullLimits, RegistrySpec } from './registry.ts';
import type { JsonObject } from './json.ts';
import type { CloudEvent, Origin } from './event.ts';
import type { RunMapping } from './trigger.ts';
import type { Condition, Template } from './expression.ts';

/** The whole configuration: validated, every default filled in, every expression compiled, frozen. */
export interface Config {
  readonly server: ServerSettings;
  readonly issuers: ReadonlyMap<string, IssuerSpec>;
  readonly connections: ReadonlyMap<string, ConnectionSpec>;
  readonly jobs: ReadonlyMap<string, JobDefinition>;
  readonly triggers: ReadonlyMap<string, TriggerDefinition>;
}

export interface ServerSettings {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly dataDir: string;
  readonly maxBodyBytes: number;
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
  readonly when: Condition | null;
  readonly run: RunMapping;
  readonly etag: string;
  /** As written, secret references and all (never secret values), for readers. */
  readonly definition: JsonObject;
}

/** What a kind's own `config.ts` parses to. */
export type SourceSpec =
  | { readonly kind: 'cron'; readonly cron: string; readonly zone: string }
  | { readonly kind: 'webhook'; readonly auth: AuthSpec }
  | StorageSourceSpec
  | FilesSourceSpec;

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
