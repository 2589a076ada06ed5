import type { Decision, DecisionOutcome } from '../../core/decision.ts';
import type { CloudEvent, SourceVerdict, StoredEvent } from '../../core/event.ts';
import type {
  Attempt,
  AttemptReason,
  Cause,
  Execution,
  HaltReason,
  PinnedImage,
  RenderedSpec,
  StopReason,
  Task,
} from '../../core/execution.ts';
import type { JobSpec } from '../../core/job.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { AttemptState, ExecutionState, TaskState } from '../../core/states.ts';
import type { DefinitionRow, StateRow } from '../../core/store.ts';
import type { ExecutionUsage } from '../../core/usage.ts';

/** Rows as the tables have them, and what they become. Only this store writes the JSON that is read here. */

export interface EventRow {
  readonly seq: number;
  readonly uid: string;
  readonly origin: string;
  readonly trigger_name: string | null;
  readonly envelope: string;
  readonly claims: string | null;
  readonly verdict: string | null;
  readonly receive_time: number;
  readonly decide_time: number | null;
  readonly duplicates: number;
}

const parse = <T>(text: string): T => JSON.parse(text) as T;
const parseOrNull = <T>(text: string | null): T | null => (text === null ? null : parse<T>(text));
export const jsonOrNull = (value: unknown): string | null =>
  value === null || value === undefined ? null : JSON.stringify(value);

export function toEvent(row: EventRow): StoredEvent {
  return {
    uid: row.uid,
    origin: row.origin,
    trigger: row.trigger_name,
    event: parse<CloudEvent>(row.envelope),
    claims: parseOrNull<JsonObject>(row.claims),
    verdict: parseOrNull<SourceVerdict>(row.verdict),
    receiveTime: row.receive_time,
    decideTime: row.decide_time,
    duplicates: row.duplicates,
  };
}

export interface StateRowRow {
  readonly key: string;
  readonly value: string;
  readonly version: number;
}

export function toState(row: StateRowRow): StateRow {
  return { key: row.key, value: parse<Json>(row.value), version: row.version };
}

export interface DecisionRow {
  readonly event_seq: number;
  readonly event_uid: string;
  readonly trigger_name: string;
  readonly outcome: DecisionOutcome;
  readonly reason: string;
  readonly clause: string | null;
  readonly read_values: string | null;
  readonly execution: string | null;
  readonly decide_time: number;
}

export function toDecision(row: DecisionRow): Decision {
  return {
    event: row.event_uid,
    trigger: row.trigger_name,
    outcome: row.outcome,
    reason: row.reason,
    clause: row.clause,
    values: parseOrNull<JsonObject>(row.read_values),
    execution: row.execution,
    decideTime: row.decide_time,
  };
}

export interface DefinitionRowRow {
  readonly kind: 'job' | 'trigger';
  readonly name: string;
  readonly etag: string;
  readonly uid: string;
  readonly generation: number;
  readonly creator: string;
  readonly create_time: number;
  readonly update_time: number;
  readonly delete_time: number | null;
  readonly max_concurrent: number | null;
}

export function toDefinition(row: DefinitionRowRow): DefinitionRow {
  return {
    kind: row.kind,
    name: row.name,
    etag: row.etag,
    uid: row.uid,
    generation: row.generation,
    createTime: row.create_time,
    updateTime: row.update_time,
    creator: row.creator,
  };
}

/** Changed by `addUsage` alone. */
interface ExecutionUsageColumns {
  used_attempts: number;
  used_wall_ms: number;
  used_wall_unknown: number;
  used_cpu_ms: number;
  used_cpu_unknown: number;
  used_peak_memory: number | null;
  used_peak_unknown: number;
  used_log_bytes: number;
  used_pulled_bytes: number;
}

function usageOf(row: ExecutionUsageColumns): ExecutionUsage {
  return {
    attempts: row.used_attempts,
    wallMs: row.used_wall_ms,
    cpuMs: row.used_cpu_ms,
    peakMemoryBytes: row.used_peak_memory,
    logBytes: row.used_log_bytes,
    pulledBytes: row.used_pulled_bytes,
    unknown: { wall: row.used_wall_unknown, cpu: row.used_cpu_unknown, peakMemory: row.used_peak_unknown },
  };
}

/** The columns that an operation may change are writable; `saveExecution` writes exactly those. */
export interface ExecutionRow extends ExecutionUsageColumns, ImageColumns {
  readonly seq: number;
  readonly uid: string;
  readonly name: string;
  readonly job: string;
  readonly job_generation: number;
  readonly cause_kind: 'event' | 'api';
  readonly event_uid: string | null;
  readonly trigger_name: string | null;
  readonly principal: string | null;
  readonly task_count: number;
  readonly parallelism: number;
  readonly create_time: number;
  readonly spec: string;
  readonly context: string;
  readonly labels: string;
  state: ExecutionState;
  reason: string | null;
  message: string | null;
  running: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  retried: number;
  next_index: number;
  claimable: number;
  wake_time: number | null;
  fail_reason: string | null;
  fail_message: string | null;
  cancel_by: string | null;
  update_time: number;
  start_time: number | null;
  completion_time: number | null;
  cancel_request_time: number | null;
  delete_time: number | null;
  expire_time: number | null;
  version: number;
  /** Retries, deadlines and re-runs. */
  readonly to_run: number;
  readonly rerun_of: string | null;
  readonly rerun_by: string | null;
  readonly deadline: number | null;
  halt_reason: HaltReason | null;
  /** Admission. */
  readonly need_memory: number;
  readonly need_cpu: number;
  readonly need_time: number;
  turn: number | null;
}

/** Columns of the image that all attempts of an execution run; only `imageStarted` writes them. */
interface ImageColumns {
  readonly image_digest: string | null;
  readonly image_repo_digest: string | null;
}

function imageOf({ image_digest: digest, image_repo_digest: repoDigest }: ImageColumns): PinnedImage | null {
  return digest === null ? null : { digest, repoDigest };
}

const KEPT_SPECS = 256;
const specs = new Map<string, JobSpec>();

/** Frozen: the same text is read at the claim, the start and the end of an attempt, and is parsed once. */
export function specOf({ spec: text }: Pick<ExecutionRow, 'spec'>): JobSpec {
  const known = specs.get(text);
  if (known !== undefined) return known;
  const spec = parse<JobSpec>(text);
  if (specs.size >= KEPT_SPECS) specs.clear();
  specs.set(text, spec);
  return spec;
}

function waitsOf({ turn, claimable }: ExecutionRow): 'turn' | 'room' | null {
  if (turn === 0) return 'turn';
  return claimable === 1 ? 'room' : null;
}

export function causeOf(row: ExecutionRow): Cause {
  return row.cause_kind === 'event'
    ? { kind: 'event', event: row.event_uid ?? '', trigger: row.trigger_name ?? '' }
    : { kind: 'api', principal: row.principal ?? '' };
}

/** How it ended, as its event and those who are told of it say. */
export function endOf(row: ExecutionRow) {
  const { name, job, state, reason, message } = row;
  return { execution: name, job, state, reason, message, counters: { ...countersOf(row) } };
}

export function toExecution(row: ExecutionRow): Execution {
  return {
    uid: row.uid,
    name: row.name,
    job: row.job,
    jobGeneration: row.job_generation,
    spec: specOf(row),
    context: parse<JsonObject>(row.context),
    cause: causeOf(row),
    labels: parse<Record<string, string>>(row.labels),
    state: row.state,
    reason: row.reason,
    message: row.message,
    counters: countersOf(row),
    usage: usageOf(row),
    createTime: row.create_time,
    updateTime: row.update_time,
    startTime: row.start_time,
    completionTime: row.completion_time,
    cancelRequestTime: row.cancel_request_time,
    deleteTime: row.delete_time,
    image: imageOf(row),
    toRun: row.to_run,
    rerunOf: row.rerun_of,
    rerunBy: row.rerun_by,
    deadline: row.deadline,
    haltReason: row.halt_reason,
    waits: waitsOf(row),
    retryTime: row.wake_time,
    etag: String(row.version),
  };
}

export function countersOf(row: ExecutionRow): Execution['counters'] {
  const { running, succeeded, failed, cancelled, retried } = row;
  return { running, succeeded, failed, cancelled, retried };
}

export interface TaskRow {
  readonly idx: number;
  state: TaskState;
  attempts: number;
  retries: number;
  infra_failures: number;
  not_before: number | null;
  readonly start_time: number | null;
  completion_time: number | null;
  message: string | null;
}

export function toTask(row: TaskRow, execution: string): Task {
  return {
    execution,
    index: row.idx,
    state: row.state,
    attempts: row.attempts,
    retries: row.retries,
    infraFailures: row.infra_failures,
    notBefore: row.not_before,
    startTime: row.start_time,
    completionTime: row.completion_time,
    message: row.message,
  };
}

export interface AttemptUsageColumns {
  readonly wall_ms: number | null;
  readonly cpu_ms: number | null;
  readonly peak_memory: number | null;
  readonly measure_time: number | null;
  readonly pulled_bytes: number | null;
}

export interface AttemptRow extends AttemptUsageColumns {
  readonly execution: number;
  readonly execution_name: string;
  readonly idx: number;
  readonly attempt: number;
  readonly state: AttemptState;
  readonly container_name: string;
  readonly engine: string;
  readonly create_time: number;
  readonly start_time: number | null;
  readonly deadline: number | null;
  readonly stop_reason: StopReason | null;
  readonly stop_request_time: number | null;
  readonly end_time: number | null;
  readonly reason: AttemptReason | null;
  readonly message: string | null;
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly image_digest: string | null;
  readonly rendered: string | null;
  readonly log_stdout: number | null;
  readonly log_stderr: number | null;
  readonly output: string | null;
}

export function toAttempt(row: AttemptRow): Attempt {
  return {
    execution: row.execution_name,
    index: row.idx,
    attempt: row.attempt,
    state: row.state,
    containerName: row.container_name,
    engine: row.engine,
    createTime: row.create_time,
    startTime: row.start_time,
    deadline: row.deadline,
    stopReason: row.stop_reason,
    stopRequestTime: row.stop_request_time,
    endTime: row.end_time,
    reason: row.reason,
    message: row.message,
    exitCode: row.exit_code,
    signal: row.signal,
    imageDigest: row.image_digest,
    rendered: parseOrNull<RenderedSpec>(row.rendered),
    usage:
      row.start_time === null
        ? null
        : {
            wallMs: row.wall_ms,
            cpuMs: row.cpu_ms,
            peakMemoryBytes: row.peak_memory,
            measureTime: row.measure_time,
            pulledBytes: row.pulled_bytes,
          },
    logBytes: row.log_stdout === null ? null : { stdout: row.log_stdout, stderr: row.log_stderr ?? 0 },
    ...(row.output === null ? undefined : { output: row.output }),
  };
}
