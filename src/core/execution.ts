import type { JsonObject } from './json.ts';
import type { JobSpec } from './job.ts';
import type { AttemptState, ExecutionState, TaskState } from './states.ts';
import type { AttemptUsage, ExecutionUsage } from './usage.ts';

/** Why an execution exists. */
export type Cause =
  | { readonly kind: 'event'; readonly event: string; readonly trigger: string }
  | { readonly kind: 'api'; readonly principal: string };

/** An execution about to be stored. `uid` and `name` come from the ids port, so that a repeated call is seen. */
export interface NewExecution {
  readonly uid: string;
  /** `<job>-<10 lower-case base32 digits>`; unique for ever. */
  readonly name: string;
  readonly job: string;
  readonly jobGeneration: number;
  /**
   * Frozen, overrides applied. Env values, args and addresses of inputs and outputs that name `task` are still
   * templates: whoever starts an attempt renders each one that holds `${{`, over the roots of `context` and `task`. Text that is done (a rendered value,
   * an API override) has `${{` escaped as `$${{`, so that what a sender wrote is never evaluated; rendering undoes it.
   */
  readonly spec: JobSpec;
  /** The roots (`event`, `trigger`, …) that those templates read, with their values at the decision. */
  readonly context: JsonObject;
  readonly cause: Cause;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Counters {
  readonly running: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Tasks that were retried at least once. */
  readonly retried: number;
}

/** Why an execution stopped itself; its reason at the end, too. */
export const HALT_REASONS = ['DEADLINE_EXCEEDED', 'TOO_MANY_FAILED', 'NEVER_FITS'] as const;
export type HaltReason = (typeof HALT_REASONS)[number];

/** An image as an engine knows it: what a name stood for when it was asked. */
export interface PinnedImage {
  /** The engine's id of the image: `sha256:…`. */
  readonly digest: string;
  /** `repository@sha256:…`, by which a registry has exactly this image; null = it came from none (built, or loaded). */
  readonly repoDigest: string | null;
}

/** One run of a job. Times are epoch milliseconds. */
export interface Execution extends NewExecution {
  readonly state: ExecutionState;
  /** A stable word (`NON_ZERO_EXIT_CODE`, `CANCELLED`, …) and the sentence for people. */
  readonly reason: string | null;
  readonly message: string | null;
  readonly counters: Counters;
  readonly usage: ExecutionUsage;
  readonly createTime: number;
  readonly updateTime: number;
  readonly startTime: number | null;
  readonly completionTime: number | null;
  readonly cancelRequestTime: number | null;
  readonly deleteTime: number | null;
  /** What all its attempts run, whatever the name stands for by then; null until its first container has started. */
  readonly image: PinnedImage | null;
  /** Tasks that it runs: all of its spec's, or those that had not succeeded in `rerunOf`. The counters are of these. */
  readonly toRun: number;
  /** The execution whose failed and cancelled tasks this one runs again, and who asked for it. */
  readonly rerunOf: string | null;
  readonly rerunBy: string | null;
  /** createTime + `spec.deadlineMs`; absolute, so that it survives a restart of the gateway. */
  readonly deadline: number | null;
  /** Set once it stops itself; its containers may still be ending. */
  readonly haltReason: HaltReason | null;
  /**
   * What its next task waits for: `turn` = executions of its job before it (maxConcurrentExecutions), `room` = an
   * engine with room for it. null = it has ended, or there is no task that could start now.
   */
  readonly waits?: 'turn' | 'room' | null;
  /** No task may start now, but one is tried again then (epoch ms); else null. */
  readonly retryTime?: number | null;
  readonly etag: string;
}

/** index 0..taskCount-1 of an execution. Rows are made when a task first starts; before that it is shown as PENDING. */
export interface Task {
  readonly execution: string;
  readonly index: number;
  readonly state: TaskState;
  /** Attempts made so far; also the number of the next one. */
  readonly attempts: number;
  /** Attempts that the user's code ended and that were followed by another. */
  readonly retries: number;
  /** Attempts that the infrastructure ended. */
  readonly infraFailures: number;
  readonly notBefore: number | null;
  readonly startTime: number | null;
  readonly completionTime: number | null;
  readonly message: string | null;
}

/** Names one container start for ever: `CLOUD_RUN_TASK_ATTEMPT` is `attempt`. */
export interface AttemptKey {
  readonly execution: string;
  readonly index: number;
  readonly attempt: number;
}

/** Of what names an attempt, and may have more to it. */
export const keyOf = ({ execution, index, attempt }: AttemptKey): AttemptKey => ({
  execution,
  index,
  attempt,
});

/** Why an attempt ended, as a stable word. */
export const ATTEMPT_REASONS = [
  'EXITED_ZERO',
  'NON_ZERO_EXIT_CODE',
  'SIGNALLED',
  'OOM_KILLED',
  'OOM_SUSPECTED',
  'TIMED_OUT',
  'CANCELLED',
  'IMAGE_NOT_FOUND',
  'IMAGE_UNAUTHORIZED',
  'IMAGE_PULL_FAILED',
  'IMAGE_RATE_LIMITED',
  'IMAGE_DISK_FULL',
  'CONTAINER_START_FAILED',
  'CONTAINER_LOST',
  'ENGINE_RESTARTED',
  'ENGINE_REFUSED',
  'RENDER_FAILED',
  'SECRET_UNREADABLE',
  'INPUT_UNAVAILABLE',
  'INPUT_FAILED',
  'OUTPUT_MISSING',
  'OUTPUT_REFUSED',
  'OUTPUT_FAILED',
] as const;
export type AttemptReason = (typeof ATTEMPT_REASONS)[number];

/** How an attempt ended. `exitCode` and `signal` exclude each other; both null = unknown, or it never ran. */
export interface AttemptResult {
  readonly state: 'SUCCEEDED' | 'FAILED' | 'CANCELLED';
  readonly reason: AttemptReason;
  readonly message: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly endTime: number;
  /** What the task handed back, of a job with `output`; absent = nothing. */
  readonly output?: string;
}

/** Bytes per stream. */
export interface LogBytes {
  readonly stdout: number;
  readonly stderr: number;
}

/** Why a container is stopped: its own timeout, a cancel, or its execution's deadline or too many failures in it. */
export type StopReason = 'timeout' | 'cancel' | 'deadline' | 'failures';

export interface Attempt extends AttemptKey {
  readonly state: AttemptState;
  readonly containerName: string;
  readonly engine: string;
  readonly createTime: number;
  readonly startTime: number | null;
  /** startTime + timeout; absolute, so that it survives a restart of the gateway. */
  readonly deadline: number | null;
  readonly stopReason: StopReason | null;
  readonly stopRequestTime: number | null;
  readonly endTime: number | null;
  readonly reason: AttemptReason | null;
  readonly message: string | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly imageDigest: string | null;
  /** What `${{ task.* }}` became for this attempt; null where nothing named `task`. */
  readonly rendered: RenderedSpec | null;
  readonly logBytes: LogBytes | null;
  /** null where its container did not start (yet). */
  readonly usage: AttemptUsage | null;
  /** Of its end; absent = nothing was handed back. */
  readonly output?: string;
}

/** Never holds a secret's value. */
export interface RenderedSpec {
  /** Without the variables that are secrets. */
  readonly env: Readonly<Record<string, string>>;
  readonly args: readonly string[] | null;
  /** The address of each input; null where it has none. Absent where the job has no inputs. */
  readonly inputs?: readonly (string | null)[];
  /** The address of each output. Absent where the job has no outputs. */
  readonly outputs?: readonly string[];
}

/** `<instance>-<execution>-t<index>-a<attempt>`: deterministic, so that a second start meets the first. */
export function containerName(instance: string, key: AttemptKey): string {
  return `${instance}-${key.execution}-t${key.index}-a${key.attempt}`;
}
