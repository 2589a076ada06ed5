import {
  argsTotalProblem,
  envTotalProblem,
  envValueProblem,
  mergeEnv,
  refusedEnvName,
  textsOf,
} from '../core/env.ts';
import { TappetError } from '../core/errors.ts';
import type { JobDefinition } from '../core/config.ts';
import type { Cause, NewExecution } from '../core/execution.ts';
import type { Ids } from '../core/ids.ts';
import { JOB_RANGES } from '../core/job.ts';
import type { EnvValue, JobSpec, Limits } from '../core/job.ts';
import type { JsonObject } from '../core/json.ts';
import { formatDuration } from '../lib/duration.ts';
import { imageRefused, isAllowedImage } from '../lib/image-pattern.ts';
import { freezeStaging, StagingError } from './freeze-staging.ts';
import type { FrozenStaging } from './freeze-staging.ts';
import { literal } from './literal.ts';

/** A text of the mapping that names `task`: the executor renders it for each attempt. */
export interface TaskTemplate {
  readonly template: string;
  /** What it gives for index 0: what others give is hardly longer. */
  readonly tried: string;
}

/** As `Overrides`; a plain string is a value, whatever it looks like, and only a `TaskTemplate` is rendered later. */
export interface PlanOverrides {
  readonly env?: Readonly<Record<string, string | TaskTemplate>>;
  readonly args?: readonly (string | TaskTemplate)[];
  readonly taskCount?: number;
  readonly timeoutMs?: number;
}

export interface PlanParams {
  readonly job: JobDefinition;
  readonly generation: number;
  readonly overrides?: PlanOverrides;
  /** The roots that templates which stay read, with their values. */
  readonly context?: JsonObject;
  /** Frozen by whoever has the event; absent = there is none, and what needs one is an error. */
  readonly staging?: FrozenStaging;
  readonly cause: Cause;
  readonly ids: Ids;
  readonly limits: Limits;
}

/**
 * What a run of `job` would be, with the overrides checked and frozen into its spec. Pure but for `ids`.
 * Errors: INVALID_ARGUMENT with `path`: of an override (`env.NAME`, `args[0]`, `taskCount`, `timeout`), or of what
 * the job itself asks for (`jobs.<name>.inputs[0].from`; see `isOfJob`).
 */
export function planExecution(params: PlanParams): NewExecution {
  const { job, overrides = {}, ids } = params;
  checkImage(job, params.limits);
  checkOverrides(overrides, job.spec, params.limits);
  return {
    uid: ids.uid(),
    name: executionName(job.name, ids),
    job: job.name,
    jobGeneration: params.generation,
    spec: { ...applyOverrides(job.spec, overrides), ...(params.staging ?? stagingAlone(params)) },
    context: params.context ?? {},
    cause: params.cause,
    labels: job.labels,
  };
}

/** A name that no other execution has. */
export const executionName = (job: string, ids: Ids): string => `${job}-${ids.nameDigits()}`;

/** The configuration was checked with its own settings; a plan is made with those of now. */
function checkImage({ name, spec: { image } }: PlanParams['job'], { allowedImages }: Limits): void {
  if (allowedImages === undefined || isAllowedImage(image, allowedImages)) return;
  throw invalid(`jobs.${name}.image`, `image of job "${name}": ${imageRefused(image, allowedImages)}.`);
}

/** Whether the path of an error of `planExecution` stands in the job, not among the overrides. */
export const isOfJob = (path: string): boolean => path.startsWith('jobs.');

/** Of a run that no event started. */
function stagingAlone({ job, overrides }: PlanParams): FrozenStaging {
  const task = { index: 0, count: overrides?.taskCount ?? job.spec.taskCount, attempt: 0 };
  try {
    return freezeStaging(job, { scope: { task }, cause: null, kept: new Set() });
  } catch (error) {
    if (!(error instanceof StagingError)) throw error;
    throw invalid(`jobs.${job.name}.${error.path}`, `${error.path} of job "${job.name}" ${error.message}.`);
  }
}

const triedText = (text: string | TaskTemplate): string => (typeof text === 'string' ? text : text.tried);
const frozen = (text: string | TaskTemplate): string =>
  typeof text === 'string' ? literal(text) : text.template;

function applyOverrides(spec: JobSpec, overrides: PlanOverrides): JobSpec {
  const env = Object.entries(overrides.env ?? {}).map(([name, text]) => [name, frozen(text)] as const);
  const merged = mergeEnv<EnvValue>(spec.env, Object.fromEntries(env));
  // Secrets are not known here: the executor looks again at the whole.
  const tooLong = envTotalProblem(textsOf(merged));
  if (tooLong !== null) throw invalid('env', `${tooLong}. Hand large values over as a file or an address.`);
  return {
    ...spec,
    env: merged,
    ...(overrides.args === undefined ? {} : { args: overrides.args.map(frozen) }),
    ...(overrides.taskCount === undefined ? {} : { taskCount: overrides.taskCount }),
    ...(overrides.timeoutMs === undefined ? {} : { timeoutMs: overrides.timeoutMs }),
  };
}

function checkOverrides(overrides: PlanOverrides, { command }: JobSpec, limits: Limits): void {
  for (const [name, value] of Object.entries(overrides.env ?? {})) {
    const refused = refusedEnvName(name);
    if (refused !== null) throw invalid(`env.${name}`, `${name} ${refused} and may not be set for a run.`);
    checkText(`env.${name}`, `The value of ${name}`, value);
  }
  overrides.args?.forEach((arg, i) => {
    checkText(`args[${i}]`, `Argument ${i}`, arg);
  });
  const tooLong = argsTotalProblem((overrides.args ?? []).map(triedText), command);
  if (tooLong !== null) throw invalid('args', `${tooLong}. Hand large values over as a file or an address.`);
  checkTaskCount(overrides.taskCount, limits);
  checkTimeout(overrides.timeoutMs);
}

/** Arguments and environment travel the same way into the container, hence the same bounds. */
function checkText(path: string, what: string, text: string | TaskTemplate): void {
  const problem = typeof text === 'string' ? envValueProblem(text) : null;
  if (problem !== null) throw invalid(path, `${what} ${problem}.`);
}

function checkTaskCount(count: number | undefined, limits: Limits): void {
  if (count === undefined) return;
  if (Number.isInteger(count) && count >= 1 && count <= limits.maxTasks) return;
  throw invalid(
    'taskCount',
    `taskCount is ${count}; it must be a whole number from 1 to ${limits.maxTasks} (the setting server.limits.maxTasks).`,
  );
}

function checkTimeout(ms: number | undefined): void {
  const { min, max } = JOB_RANGES.timeoutMs;
  if (ms === undefined || (Number.isInteger(ms) && ms >= min && ms <= max)) return;
  const text = Number.isInteger(ms) && ms >= 0 ? formatDuration(ms) : `${ms} ms`;
  throw invalid(
    'timeout',
    `timeout is ${text}; it must be from ${formatDuration(min)} to ${formatDuration(max)}.`,
  );
}

function invalid(path: string, message: string): TappetError {
  return new TappetError('INVALID_ARGUMENT', message, { path });
}
