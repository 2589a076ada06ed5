import type { SecretRef } from './secrets.ts';
import type { InputSpec, OutputSpec } from './staging.ts';

/** A text, or where its value stands: read anew at the start of each attempt, and never written down. */
export type EnvValue = string | SecretRef;

/**
 * What to run. Names, defaults and ranges are Cloud Run's where it has them
 * (google.cloud.run.v2 TaskTemplate, ExecutionTemplate), with one stated difference: `parallelism` is 1 if unset.
 */
export interface JobSpec {
  readonly image: string;
  /** Replaces the image's ENTRYPOINT. */
  readonly command?: readonly string[];
  /** Replaces the image's CMD. May hold `${{ task.index }}` and friends. */
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, EnvValue>>;
  readonly workingDir?: string;
  /** `uid[:gid]` or a name in the image; absent = the image's own user. */
  readonly user?: string;
  /** Cores. */
  readonly cpu: number;
  readonly memoryBytes: number;
  readonly taskCount: number;
  /** Tasks of one execution at the same time; 0 = as many as there is room for. */
  readonly parallelism: number;
  /** Retries per task, counting only attempts that the user's code ended. */
  readonly maxRetries: number;
  /** Per attempt, counted from the start of the container. */
  readonly timeoutMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly gracePeriodMs: number;
  readonly retentionMs: number;
  readonly binds: readonly Bind[];
  /** Put into the container before it starts; absent = none (as are specs stored by earlier versions). */
  readonly inputs?: readonly InputSpec[];
  /** Taken out of it after exit code 0, before the attempt has succeeded; absent = none. */
  readonly outputs?: readonly OutputSpec[];
}

/** A host folder in the container; only below the server's `allowedBinds`. */
export interface Bind {
  readonly from: string;
  readonly to: string;
  readonly readOnly: boolean;
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
export const MIB = 1024 * 1024;

export const JOB_DEFAULTS = {
  cpu: 1,
  memoryBytes: 512 * MIB,
  taskCount: 1,
  parallelism: 1,
  maxRetries: 3,
  timeoutMs: 10 * MINUTE,
  gracePeriodMs: 30_000,
  retentionMs: 30 * DAY,
} as const;

export const JOB_RANGES = {
  cpu: { min: 0.05, max: 512 },
  /** 6 MiB is the engine's own minimum. */
  memoryBytes: { min: 6 * MIB, max: 1024 * 1024 * MIB },
  maxRetries: { min: 0, max: 10 },
  timeoutMs: { min: 1000, max: 168 * 60 * MINUTE },
  gracePeriodMs: { min: 0, max: 60 * MINUTE },
  retentionDays: { min: 1, max: 365 },
} as const;

/** Settings of the server that bound what a job or an event may ask for. */
export interface Limits {
  readonly maxTasks: number;
  readonly maxParallelism: number;
}
export const LIMIT_DEFAULTS: Limits = { maxTasks: 10_000, maxParallelism: 100 };

/** What one run may change, as in Cloud Run's `jobs.run`: per execution, never per task. */
export interface Overrides {
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly taskCount?: number;
  readonly timeoutMs?: number;
}
