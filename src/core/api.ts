import type { Preset } from './auth.ts';
import type { DecisionOutcome } from './decision.ts';
import type { EnvValue, OutputFormat, PullPolicy, RetryReason } from './job.ts';
import type { Json, JsonObject } from './json.ts';
import type { LogStream } from './log-sink.ts';
import type { NotificationKind, NotificationState, NotifySpec } from './notify.ts';
import type { Severity } from './severity.ts';
import type { InputSpec, OutputSpec } from './staging.ts';
import type { AttemptState, ExecutionState, TaskState } from './states.ts';

/**
 * The shapes that travel over `/api/v1`, as JSON: `http/` makes them, `client/` reads them. Times are RFC 3339 in
 * UTC, durations `90s` or `1h30m`, sizes `512Mi`.
 */
export interface ResourceMeta {
  readonly name: string;
  readonly uid: string;
  readonly etag: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly createTime: string;
  readonly updateTime: string;
  readonly creator: string;
}

/** Where the API tells of it, relative to the gateway's address. */
export const executionPath = (execution: string): string =>
  `/api/v1/executions/${encodeURIComponent(execution)}`;

/** What runs, with every default filled in. */
export interface TemplateResource {
  readonly image: string;
  /** Absent = by the tag of the image. */
  readonly pullPolicy?: PullPolicy;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  /** A text, or where a secret's value stands; never the value. */
  readonly env: Readonly<Record<string, EnvValue>>;
  readonly workingDir?: string;
  readonly user?: string;
  readonly cpu: number;
  readonly memory: string;
  readonly taskCount: number;
  readonly parallelism: number;
  readonly maxRetries: number;
  readonly retry?: RetryResource;
  /** 0 = `failFast`. */
  readonly maxFailedTasks?: number;
  /** Of the whole execution, from its creation. */
  readonly deadline?: string;
  readonly timeout: string;
  readonly gracePeriod: string;
  readonly retention: string;
  readonly retentionCount?: number;
  readonly maxConcurrentExecutions?: number;
  readonly maxLogBytes: string;
  readonly volumes: readonly { readonly bind: string; readonly to: string; readonly readOnly: boolean }[];
  readonly inputs?: readonly InputResource[];
  readonly outputs?: readonly OutputSpec[];
  /** What the file named by TAPPET_OUTPUT is read as; absent = it is not read. */
  readonly output?: OutputFormat;
  /** Names of receivers. */
  readonly notify?: NotifySpec;
}
export interface RetryResource {
  readonly backoff: 'none' | 'constant' | 'exponential';
  readonly initial: string;
  readonly factor: number;
  readonly max: string;
  readonly jitter: 'none' | 'full';
  readonly onExitCodes?: readonly number[];
  readonly notOnExitCodes?: readonly number[];
  readonly onReasons?: readonly RetryReason[];
}
/** `mode` as in `chmod`, such as `0644`. */
export type InputResource = Omit<InputSpec, 'mode'> & { readonly mode?: string };

export interface JobResource extends ResourceMeta {
  readonly generation: number;
  readonly template: TemplateResource;
}

export interface TriggerResource extends ResourceMeta {
  readonly generation: number;
  readonly origin: string;
  /** As written, secret references and all; never a secret value. */
  readonly source: Json;
  readonly when: Json;
  readonly run: Json;
  /** Of a webhook that takes signed tokens: the issuers that it takes them of, by name. */
  readonly issuers?: Readonly<Record<string, Preset>>;
  /** What its source tells of it; null where that has nothing to tell, or does not run. */
  readonly status: TriggerStatusResource | null;
}
export interface TriggerStatusResource {
  /** Of its first start at the place where it looks now: what was there by then was there before. */
  readonly firstStartTime: string;
  readonly existing: {
    /** Objects or files that were there before, and started nothing. */
    readonly skipped: number;
    /** false while the first look goes on: `skipped` may grow. */
    readonly complete: boolean;
  };
}

/** Why an execution exists: an event and the trigger that matched it, or the principal that called the API. */
export type CauseResource =
  | { readonly event: string; readonly trigger: string }
  | { readonly principal: string };

export interface ExecutionResource extends ResourceMeta {
  /** Generation of the job that was frozen into `spec`. */
  readonly generation: number;
  readonly job: string;
  readonly state: ExecutionState;
  readonly reason: string | null;
  readonly message: string | null;
  readonly taskCount: number;
  /** What its next task waits for, in words, or those that have begun; null where it has ended, or nothing keeps it. */
  readonly waitsFor: string | null;
  /** Tasks that it runs, which the counts are of: all, or those that had not succeeded in `rerunOf`. */
  readonly tasksToRun: number;
  readonly parallelism: number;
  readonly runningCount: number;
  readonly succeededCount: number;
  readonly failedCount: number;
  readonly cancelledCount: number;
  readonly retriedCount: number;
  readonly usage: ExecutionUsageResource;
  readonly cause: CauseResource;
  /** The execution whose failed and cancelled tasks it runs again. */
  readonly rerunOf: string | null;
  readonly spec: TemplateResource;
  /** The image that all attempts run, as the engine knows it; null until the first container has started. */
  readonly imageDigest: string | null;
  /** The same as its registry knows it, `repository@sha256:…`; null = it came from none. */
  readonly imageRepoDigest: string | null;
  readonly startTime: string | null;
  readonly completionTime: string | null;
  readonly cancelRequestTime: string | null;
  /** When what is not done is cancelled. */
  readonly deadline: string | null;
  /** Who is told of it, newest first, at most 100; only where one execution was asked for. */
  readonly notifications?: readonly NotificationResource[];
}

/** One message to one receiver. */
export interface NotificationResource {
  /** The `webhook-id` under which it is sent. */
  readonly id: string;
  readonly receiver: string;
  readonly kind: NotificationKind;
  readonly execution: string;
  readonly job: string;
  readonly state: NotificationState;
  readonly attempts: number;
  readonly createTime: string;
  /** Of the next try; null where there is none, or it waits behind an earlier one of its job. */
  readonly nextTime: string | null;
  readonly endTime: string | null;
  readonly lastStatus: number | null;
  readonly lastError: string | null;
}

/** What the attempts used that ran and have ended. null = not known. */
export interface ExecutionUsageResource {
  readonly attempts: number;
  /** This and what follows: of the attempts of which it is known; `unknown` counts the others. */
  readonly wallSeconds: number | null;
  readonly cpuSeconds: number | null;
  /** The highest of any attempt. */
  readonly peakMemoryBytes: number | null;
  /** What was reserved, times how long. */
  readonly vcpuSeconds: number | null;
  readonly gibSeconds: number | null;
  readonly loggedBytes: number;
  readonly pulledBytes: number;
  readonly unknown: { readonly wall: number; readonly cpu: number; readonly peakMemory: number };
}

/** What an attempt used. null = not known (yet). */
export interface AttemptUsageResource {
  readonly wallSeconds: number | null;
  /** At `measureTime`. */
  readonly cpuSeconds: number | null;
  readonly peakMemoryBytes: number | null;
  readonly measureTime: string | null;
  readonly vcpuSeconds: number | null;
  readonly gibSeconds: number | null;
  /** From a registry; 0 where the image was there. */
  readonly pulledBytes: number | null;
}

export interface AttemptResultResource {
  readonly exitCode?: number;
  readonly signal?: string;
  readonly reason: string | null;
  readonly message: string | null;
}

export interface TaskResource {
  readonly execution: string;
  readonly index: number;
  readonly state: TaskState;
  /** Attempts that the user's code ended and that were followed by another. */
  readonly retried: number;
  readonly attempts: number;
  readonly infraFailures: number;
  readonly message: string | null;
  /** What it waits for, in words, before it starts and after it has begun; null where nothing keeps it. */
  readonly waitsFor: string | null;
  readonly notBefore: string | null;
  readonly startTime: string | null;
  readonly completionTime: string | null;
  /** Of the newest attempt that has ended; only where one task was asked for. */
  readonly lastAttemptResult?: AttemptResultResource | null;
}

export interface AttemptResource {
  readonly execution: string;
  readonly index: number;
  readonly attempt: number;
  readonly state: AttemptState;
  readonly reason: string | null;
  readonly message: string | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stopReason: string | null;
  readonly containerName: string;
  readonly engine: string;
  readonly imageDigest: string | null;
  readonly logBytes: { readonly stdout: number; readonly stderr: number } | null;
  /** null where its container did not start (yet). */
  readonly usage: AttemptUsageResource | null;
  /** What the task handed back, of a job with `output`: a text, or any JSON; absent = nothing. */
  readonly output?: Json;
  readonly createTime: string;
  readonly startTime: string | null;
  readonly deadline: string | null;
  readonly endTime: string | null;
}

export interface DecisionResource {
  readonly event: string;
  readonly trigger: string;
  readonly outcome: DecisionOutcome;
  readonly reason: string;
  readonly clause: string | null;
  readonly values: JsonObject | null;
  readonly execution: string | null;
  readonly decideTime: string;
}

export interface EventResource {
  readonly uid: string;
  readonly origin: string;
  readonly trigger: string | null;
  /** The CloudEvents envelope, extensions beside the named attributes. `data` stands only in a single event. */
  readonly event: JsonObject;
  readonly receiveTime: string;
  /** null until every trigger has answered. */
  readonly decideTime: string | null;
  readonly duplicates: number;
}
export interface EventDetailResource extends EventResource {
  readonly claims: JsonObject | null;
  readonly decisions: readonly DecisionResource[];
}

/** The answer to a trigger fired by hand. `decided` is false where the decision was not there in time. */
export interface FireResource {
  readonly event: string;
  readonly decided: boolean;
  readonly decisions: readonly DecisionResource[];
  /** State by execution name. */
  readonly executions: Readonly<Record<string, ExecutionState>>;
}

/** The `data` of one server-sent log event; its id is `<attempt>:<position>`. */
export interface LogEventResource {
  readonly stream: LogStream;
  readonly time: string;
  /** Offset of the first byte within its stream. */
  readonly offset: number;
  readonly text: string;
  /** The bytes themselves, where they are not UTF-8 taken alone (a character cut in two, binary output). */
  readonly base64?: string;
  /** No output, but a gap: so many bytes of the stream, before `offset`, are kept no longer. */
  readonly missing?: number;
}

/** One line of the log of an execution: a line of NDJSON, or the `data` of a server-sent event. */
export interface LogLineResource {
  readonly task: number;
  readonly attempt: number;
  readonly stream: LogStream;
  /** When the end of the line was taken. */
  readonly time: string;
  /** Of its first byte within its stream: with task, attempt and stream it names the line. */
  readonly offset: number;
  readonly severity: Severity;
  /** The line, without its line feed. */
  readonly text: string;
  /** Of a line that is JSON. */
  readonly message?: string;
  /** The bytes themselves, where they are not UTF-8. */
  readonly base64?: string;
  /** No line feed follows: the last of a log, or a piece of a line beyond 256 KiB. */
  readonly partial?: true;
  /** No line, but a gap: so many bytes of the stream, before `offset`, are kept no longer. */
  readonly missing?: number;
}

/** A container engine that attempts are open on: on which, until they have ended, no other engine is used instead. */
export interface EngineResource {
  /** Where it is: the path of its socket, or `tcp://HOST:PORT`. */
  readonly name: string;
  readonly openAttempts: number;
}
export interface ForgottenEngineResource {
  readonly engine: string;
  readonly endedAttempts: number;
}

/** Opens the page in a browser once: `/?code=<code>`. */
export interface LinkResource {
  readonly code: string;
  readonly expireTime: string;
}

/** RFC 9457 `application/problem+json`. */
export interface ProblemResource {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly instance?: string;
  readonly fix?: string;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}

/** What a run may change; `timeout` as `90s`. */
export interface OverridesResource {
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly taskCount?: number;
  readonly timeout?: string;
}
