import type { AuthSpec, IssuerSpec } from './auth.ts';
import type { Limits, JobSpec } from './job.ts';
import type { JsonObject } from './json.ts';
import type { Origin } from './event.ts';
import type { RunMapping } from './trigger.ts';
import type { Condition } from './expression.ts';

/** The whole configuration: validated, every default filled in, every expression compiled, frozen. */
export interface Config {
  readonly server: ServerSettings;
  readonly issuers: ReadonlyMap<string, IssuerSpec>;
  readonly jobs: ReadonlyMap<string, JobDefinition>;
  readonly triggers: ReadonlyMap<string, TriggerDefinition>;
}

export interface ServerSettings {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly dataDir: string;
  readonly maxBodyBytes: number;
  readonly maxRunningTasks: number;
  readonly limits: Limits;
  /** Host folders (absolute, resolved) below which jobs may bind. */
  readonly allowedBinds: readonly string[];
  /** Decided events are kept this long. */
  readonly eventRetentionMs: number;
}

export interface JobDefinition {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: JobSpec;
  /** Hash of the definition. */
  readonly etag: string;
}

export interface TriggerDefinition {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly source: SourceSpec;
  readonly origin: Origin;
  readonly when: Condition | null;
  readonly run: RunMapping;
  readonly etag: string;
  /** As written, secret references and all (never secret values), for readers. */
  readonly definition: JsonObject;
}

/** What a kind's own `config.ts` parses to. */
export type SourceSpec =
  | { readonly kind: 'cron'; readonly cron: string; readonly zone: string }
  | { readonly kind: 'webhook'; readonly auth: AuthSpec };
