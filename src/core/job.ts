import type { Json } from './json.ts';
import type { NotifySpec } from './notify.ts';
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
  /** Which attempts get a retry, and after which pause; absent = each, at once. */
  readonly retry?: RetryPolicy;
  /** After more failed tasks than this the others are cancelled, and the execution has failed; absent = all run. */
  readonly maxFailedTasks?: number;
  /** For the whole execution, from its creation; what is not done by then is cancelled. Absent = none. */
  readonly deadlineMs?: number;
  /** Per attempt, counted from the start of the container. */
  readonly timeoutMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly gracePeriodMs: number;
  readonly retentionMs: number;
  /** So many ended executions are kept at most, the newest; absent = any number. Counted by what the job says now. */
  readonly retentionCount?: number;
  /** So many executions of the job are under way at the same time, the others wait their turn; absent = any number. Counted by what the job says now. */
  readonly maxConcurrentExecutions?: number;
  /** Room for the log of one attempt; of a longer one, beginning and end are kept. */
  readonly maxLogBytes?: number;
  readonly binds: readonly Bind[];
  /** Absent = by the image's tag, as `PullPolicy` says. */
  readonly pullPolicy?: PullPolicy;
  /** Put into the container before it starts; absent = none (as are specs stored by earlier versions). */
  readonly inputs?: readonly InputSpec[];
  /** Taken out of it after exit code 0, before the attempt has succeeded; absent = none. */
  readonly outputs?: readonly OutputSpec[];
  /** What the file named by TAPPET_OUTPUT holds after exit code 0 is the task's output; absent = there is none. */
  readonly output?: OutputFormat;
  /** Who is told of its executions; absent = nobody. */
  readonly notify?: NotifySpec;
}

export type OutputFormat = 'text' | 'json';
/** As a reader wants it: whether it is JSON was checked when it was taken. */
export const outputValue = (output: string, { output: format }: Pick<JobSpec, 'output'>): Json =>
  format === 'json' ? (JSON.parse(output) as Json) : output;

/** Ends of an attempt that use up a retry: the user's code ended it, or what it asked for. */
export const RETRY_REASONS = [
  'NON_ZERO_EXIT_CODE',
  'SIGNALLED',
  'OOM_KILLED',
  'OOM_SUSPECTED',
  'TIMED_OUT',
  'OUTPUT_MISSING',
] as const;
export type RetryReason = (typeof RETRY_REASONS)[number];

/**
 * Of the `maxRetries` that a task has: which attempts get one, and when. An attempt is tried again where one of
 * `onExitCodes` and `onReasons` names it, or neither stands there; never with one of `notOnExitCodes`.
 */
export interface RetryPolicy {
  /** `none`: at once. `constant`: after `initialMs`. `exponential`: that times `factor` with each retry, up to `maxMs`. */
  readonly backoff: 'none' | 'constant' | 'exponential';
  readonly initialMs: number;
  readonly factor: number;
  readonly maxMs: number;
  /** `full`: a pause drawn between nothing and the reckoned one, so that tasks that failed together do not come back together. */
  readonly jitter: 'none' | 'full';
  /** Codes with which the container ended by itself. */
  readonly onExitCodes?: readonly number[];
  readonly notOnExitCodes?: readonly number[];
  readonly onReasons?: readonly RetryReason[];
}

/**
 * When the engine asks the registry for the image: only where it is not there, at each execution, or never. Absent is
 * `IfNotPresent`; of the tag `latest` (which is meant where no tag stands) the newest that can be had: the registry is
 * asked at most once a minute, what was built on the engine itself is never exchanged for another's image of that name,
 * and where the registry cannot help, what is there runs.
 */
export const PULL_POLICIES = ['IfNotPresent', 'Always', 'Never'] as const;
export type PullPolicy = (typeof PULL_POLICIES)[number];

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
  maxLogBytes: 100 * MIB,
} as const;

/** Shape and numbers as in Modal's `Retries`; `jitter` is `full` where there is a backoff. */
export const RETRY_DEFAULTS = { backoff: 'none', initialMs: 1000, factor: 2, maxMs: MINUTE } as const;

export const JOB_RANGES = {
  cpu: { min: 0.05, max: 512 },
  /** 6 MiB is the engine's own minimum. */
  memoryBytes: { min: 6 * MIB, max: 1024 * 1024 * MIB },
  maxRetries: { min: 0, max: 10 },
  timeoutMs: { min: 1000, max: 168 * 60 * MINUTE },
  gracePeriodMs: { min: 0, max: 60 * MINUTE },
  retentionDays: { min: 1, max: 365 },
  retentionCount: { min: 1, max: 1_000_000 },
  maxConcurrentExecutions: { min: 1, max: 10_000 },
  maxLogBytes: { min: MIB, max: 1024 * 1024 * MIB },
  /** Beyond all tries of a task that takes its 168 h each time. */
  deadlineMs: { min: 1000, max: 90 * DAY },
  retryPauseMs: { min: 100, max: DAY },
  retryFactor: { min: 1, max: 10 },
} as const;

/** Settings of the server that bound what a job or an event may ask for. */
export interface Limits {
  readonly maxTasks: number;
  readonly maxParallelism: number;
  /** Patterns of `lib/image-pattern.ts`; an image that none of them matches does not run. Absent = every image may. */
  readonly allowedImages?: readonly string[];
}
export const LIMIT_DEFAULTS: Limits = { maxTasks: 10_000, maxParallelism: 100 };

/** What one run may change, as in Cloud Run's `jobs.run`: per execution, never per task. */
export interface Overrides {
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly taskCount?: number;
  readonly timeoutMs?: number;
}
