import type {
  AttemptResource,
  AttemptResultResource,
  CauseResource,
  DecisionResource,
  EventDetailResource,
  EventResource,
  ExecutionResource,
  FireResource,
  InputResource,
  JobResource,
  ResourceMeta,
  RetryResource,
  TaskResource,
  TemplateResource,
  TriggerResource,
  TriggerStatusResource,
} from '../core/api.ts';
import type { JobDefinition, TriggerDefinition } from '../core/config.ts';
import type { Decision } from '../core/decision.ts';
import { flattenEvent } from '../core/event.ts';
import type { StoredEvent } from '../core/event.ts';
import type { Attempt, Cause, Execution, NewExecution, Task } from '../core/execution.ts';
import { JOB_DEFAULTS, outputValue } from '../core/job.ts';
import type { JobSpec, RetryPolicy } from '../core/job.ts';
import type { TriggerStatus } from '../core/source.ts';
import type { InputSpec } from '../core/staging.ts';
import { isTerminal } from '../core/states.ts';
import type { DefinitionRow } from '../core/store.ts';
import { NO_USAGE } from '../core/usage.ts';
import { formatDuration } from '../lib/duration.ts';
import { formatSize } from '../lib/size.ts';
import { waitText } from '../executor/waiting.ts';
import type { AdmissionView } from '../executor/waiting.ts';
import type { FireResult } from './deps.ts';
import { attemptUsageResource, executionUsageResource } from './usage-resource.ts';

/** Rows as the API shows them. Pure. */

export const time = (ms: number): string => new Date(ms).toISOString();
export const optionalTime = (ms: number | null): string | null => (ms === null ? null : time(ms));

function templateResource(spec: JobSpec): TemplateResource {
  const { memoryBytes, timeoutMs, gracePeriodMs, retentionMs, binds, inputs, retry, deadlineMs, ...same } =
    spec;
  return {
    ...same,
    memory: formatSize(memoryBytes),
    ...(retry === undefined ? {} : { retry: retryResource(retry) }),
    timeout: formatDuration(timeoutMs),
    ...(deadlineMs === undefined ? {} : { deadline: formatDuration(deadlineMs) }),
    gracePeriod: formatDuration(gracePeriodMs),
    retention: formatDuration(retentionMs),
    maxLogBytes: formatSize(spec.maxLogBytes ?? JOB_DEFAULTS.maxLogBytes),
    volumes: binds.map(({ from, to, readOnly }) => ({ bind: from, to, readOnly })),
    ...(inputs === undefined ? {} : { inputs: inputs.map(inputResource) }),
  };
}

function retryResource({ initialMs, maxMs, ...same }: RetryPolicy): RetryResource {
  return { ...same, initial: formatDuration(initialMs), max: formatDuration(maxMs) };
}

function inputResource({ mode, ...same }: InputSpec): InputResource {
  return { ...same, ...(mode === undefined ? {} : { mode: mode.toString(8).padStart(4, '0') }) };
}

type Definition = Pick<JobDefinition, 'name' | 'labels' | 'annotations' | 'etag'>;

function meta(definition: Definition, row: DefinitionRow): ResourceMeta & { readonly generation: number } {
  return {
    name: definition.name,
    uid: row.uid,
    generation: row.generation,
    etag: definition.etag,
    labels: definition.labels,
    annotations: definition.annotations,
    createTime: time(row.createTime),
    updateTime: time(row.updateTime),
    creator: row.creator,
  };
}

export function jobResource(job: JobDefinition, row: DefinitionRow): JobResource {
  return { ...meta(job, row), template: templateResource(job.spec) };
}

export function triggerResource(
  trigger: TriggerDefinition,
  row: DefinitionRow,
  status: TriggerStatus | undefined,
): TriggerResource {
  const { definition } = trigger;
  return {
    ...meta(trigger, row),
    origin: trigger.origin,
    source: definition['source'] ?? null,
    when: definition['when'] ?? null,
    run: definition['run'] ?? null,
    ...(trigger.issuers === undefined ? {} : { issuers: trigger.issuers }),
    status: status === undefined ? null : triggerStatusResource(status),
  };
}

function triggerStatusResource({ firstStart, existing }: TriggerStatus): TriggerStatusResource {
  return { firstStartTime: time(firstStart), existing };
}

function causeResource(cause: Cause): CauseResource {
  if (cause.kind === 'api') return { principal: cause.principal };
  return { event: cause.event, trigger: cause.trigger };
}

/** `view`: absent where nothing is to be said of what it waits for. */
export function executionResource(execution: Execution, view?: AdmissionView): ExecutionResource {
  const { cause, counters, spec } = execution;
  return {
    name: execution.name,
    uid: execution.uid,
    generation: execution.jobGeneration,
    etag: execution.etag,
    labels: execution.labels,
    annotations: {},
    createTime: time(execution.createTime),
    updateTime: time(execution.updateTime),
    creator: execution.rerunBy ?? (cause.kind === 'api' ? cause.principal : `trigger/${cause.trigger}`),
    job: execution.job,
    state: execution.state,
    reason: execution.reason,
    message: execution.message,
    waitsFor: view === undefined ? null : waitText(execution, view),
    taskCount: spec.taskCount,
    tasksToRun: execution.toRun,
    parallelism: spec.parallelism,
    runningCount: counters.running,
    succeededCount: counters.succeeded,
    failedCount: counters.failed,
    cancelledCount: counters.cancelled,
    retriedCount: counters.retried,
    usage: executionUsageResource(execution.usage, spec),
    cause: causeResource(cause),
    rerunOf: execution.rerunOf,
    spec: templateResource(spec),
    imageDigest: execution.image?.digest ?? null,
    imageRepoDigest: execution.image?.repoDigest ?? null,
    startTime: optionalTime(execution.startTime),
    completionTime: optionalTime(execution.completionTime),
    cancelRequestTime: optionalTime(execution.cancelRequestTime),
    deadline: optionalTime(execution.deadline),
  };
}

/** What a planned execution would look like right after it was stored; for `validateOnly`. */
export function plannedResource(planned: NewExecution, now: number): ExecutionResource {
  return executionResource(plannedExecution(planned, now));
}

export function plannedExecution(planned: NewExecution, now: number): Execution {
  return {
    ...planned,
    state: 'PENDING',
    reason: null,
    message: null,
    counters: { running: 0, succeeded: 0, failed: 0, cancelled: 0, retried: 0 },
    usage: NO_USAGE,
    createTime: now,
    updateTime: now,
    startTime: null,
    completionTime: null,
    cancelRequestTime: null,
    deleteTime: null,
    image: null,
    toRun: planned.spec.taskCount,
    rerunOf: null,
    rerunBy: null,
    deadline: planned.spec.deadlineMs === undefined ? null : now + planned.spec.deadlineMs,
    haltReason: null,
    etag: '',
  };
}

/** `waitsFor`: from `taskWaitText`. */
export function taskResource(task: Task, waitsFor: string | null): TaskResource {
  return {
    execution: task.execution,
    index: task.index,
    state: task.state,
    retried: task.retries,
    attempts: task.attempts,
    infraFailures: task.infraFailures,
    message: task.message,
    waitsFor,
    notBefore: optionalTime(task.notBefore),
    startTime: optionalTime(task.startTime),
    completionTime: optionalTime(task.completionTime),
  };
}

export function taskDetailResource(
  task: Task,
  attempts: readonly Attempt[],
  waitsFor: string | null,
): TaskResource {
  const last = attempts.findLast((attempt) => isTerminal(attempt.state));
  return {
    ...taskResource(task, waitsFor),
    lastAttemptResult: last === undefined ? null : resultResource(last),
  };
}

function resultResource({ exitCode, signal, reason, message }: Attempt): AttemptResultResource {
  return {
    ...(exitCode === null ? {} : { exitCode }),
    ...(signal === null ? {} : { signal }),
    reason,
    message,
  };
}

/** `spec`: of its execution. */
export function attemptResource(attempt: Attempt, spec: JobSpec): AttemptResource {
  return {
    execution: attempt.execution,
    index: attempt.index,
    attempt: attempt.attempt,
    state: attempt.state,
    reason: attempt.reason,
    message: attempt.message,
    exitCode: attempt.exitCode,
    signal: attempt.signal,
    stopReason: attempt.stopReason,
    containerName: attempt.containerName,
    engine: attempt.engine,
    imageDigest: attempt.imageDigest,
    logBytes: attempt.logBytes,
    usage: attempt.usage === null ? null : attemptUsageResource(attempt.usage, spec),
    ...(attempt.output === undefined ? {} : { output: outputValue(attempt.output, spec) }),
    createTime: time(attempt.createTime),
    startTime: optionalTime(attempt.startTime),
    deadline: optionalTime(attempt.deadline),
    endTime: optionalTime(attempt.endTime),
  };
}

function decisionResource(decision: Decision): DecisionResource {
  return { ...decision, decideTime: time(decision.decideTime) };
}

/** Without `data`: a page of events would else be as large as all their bodies. */
export function eventResource(stored: StoredEvent): EventResource {
  const { data: _, ...envelope } = flattenEvent(stored.event);
  return {
    uid: stored.uid,
    origin: stored.origin,
    trigger: stored.trigger,
    event: envelope,
    receiveTime: time(stored.receiveTime),
    decideTime: optionalTime(stored.decideTime),
    duplicates: stored.duplicates,
  };
}

export function eventDetailResource(
  stored: StoredEvent,
  decisions: readonly Decision[],
): EventDetailResource {
  return {
    ...eventResource(stored),
    event: flattenEvent(stored.event),
    claims: stored.claims,
    decisions: decisions.map(decisionResource),
  };
}

export function fireResource({ uid, outcome }: FireResult): FireResource {
  return {
    event: uid,
    decided: outcome?.decided ?? false,
    decisions: outcome?.decisions.map(decisionResource) ?? [],
    executions: outcome?.executions ?? {},
  };
}
