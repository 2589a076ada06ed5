import type { DecisionOutcome } from './decision.ts';
import type { EnvValue } from './job.ts';
import type { Json, JsonObject } from './json.ts';
import type { LogStream } from './log-sink.ts';
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

/** What runs, with every default filled in. */
export interface TemplateResource {
  readonly image: string;
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
  readonly timeout: string;
  readonly gracePeriod: string;
  readonly retention: string;
  readonly volumes: readonly { readonly bind: string; readonly to: string; readonly readOnly: boolean }[];
  readonly inputs?: readonly InputResource[];
  readonly outputs?: readonly OutputSpec[];
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
  { readonly event: string; readonly trigger: string } | { readonly principal: string };

export interface ExecutionResource extends ResourceMeta {
  /** Generation of the job that was frozen into `spec`. */
  readonly generation: number;
  readonly job: string;
  readonly state: ExecutionState;
  readonly reason: string | null;
  readonly message: string | null;
  readonly taskCount: number;
  readonly parallelism: number;
  readonly runningCount: number;
  readonly succeededCount: number;
  readonly failedCount: number;
  readonly cancelledCount: number;
  readonly retriedCount: number;
  readonly cause: CauseResource;
  readonly spec: TemplateResource;
  readonly startTime: string | null;
  readonly completionTime: string | null;
  readonly cancelRequestTime: string | null;
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
