import type { JobDefinition, TriggerDefinition } from '../core/config.ts';
import { envValueProblem } from '../core/env.ts';
import { isTappetError } from '../core/errors.ts';
import type { StoredEvent } from '../core/event.ts';
import { ROOTS } from '../core/expression.ts';
import type { Root, Scope, Template } from '../core/expression.ts';
import type { JsonObject } from '../core/json.ts';
import { parseDuration } from '../lib/duration.ts';
import { freezeStaging, StagingError } from './freeze-staging.ts';
import type { FrozenStaging } from './freeze-staging.ts';
import type { PlanOverrides, TaskTemplate } from './plan-execution.ts';

/** What `run` and the job made of an event, or the first place where it failed. */
export type Mapped =
  | {
      readonly ok: true;
      readonly overrides: PlanOverrides;
      readonly staging: FrozenStaging;
      readonly context: JsonObject;
    }
  | { readonly ok: false; readonly reason: string; readonly clause: string };

/** One failed template; never leaves this file. */
class MappingError extends Error {
  readonly clause: string;
  constructor(path: string, message: string, clause: string) {
    super(`run.${path}: ${message}`);
    this.clause = clause;
  }
}

export interface MapParams {
  readonly trigger: TriggerDefinition;
  readonly event: StoredEvent;
  readonly scope: Scope;
  readonly job: JobDefinition;
}

/**
 * Renders everything in `run`, and in the job's inputs and outputs, that does not name `task`. What does is tried
 * for index 0, so that a mistake shows at the decision, and stays a template; `context` has the values that it reads.
 */
export function mapEvent({ trigger, event, scope, job }: MapParams): Mapped {
  const { run } = trigger;
  try {
    // First: the trial of a template that names `task` needs the count.
    const taskCount = run.taskCount === null ? undefined : renderCount(run.taskCount, scope);
    const task = { index: 0, count: taskCount ?? job.spec.taskCount, attempt: 0 };
    const trial: Scope = Object.assign({}, scope, { task });
    const roots = new Set<Root>();
    const text = (path: string, template: Template): string | TaskTemplate =>
      renderOrKeep(path, template, trial, roots);
    const env = Object.entries(run.env).map(
      ([name, template]) => [name, text(`env.${name}`, template)] as const,
    );
    const args = run.args?.map((template, i) => text(`args[${i}]`, template));
    const timeoutMs = run.timeout === null ? undefined : renderTimeout(run.timeout, scope);
    const overrides: PlanOverrides = {
      env: Object.fromEntries(env),
      ...(args === undefined ? {} : { args }),
      ...(taskCount === undefined ? {} : { taskCount }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    };
    const staging = freezeStaging(job, { scope: trial, cause: { event, trigger }, kept: roots });
    return { ok: true, overrides, staging, context: pick(scope, roots) };
  } catch (error) {
    if (error instanceof StagingError)
      return { ok: false, reason: `jobs.${job.name}.${error.path}: ${error.message}`, clause: error.clause };
    if (!(error instanceof MappingError)) throw error;
    return { ok: false, reason: error.message, clause: error.clause };
  }
}

function renderOrKeep(
  path: string,
  template: Template,
  trial: Scope,
  kept: Set<Root>,
): string | TaskTemplate {
  const value = render(path, template, trial).value;
  if (!template.roots.includes('task')) return value;
  // Where the plan is made there is only the template; the executor looks again at what each attempt gets.
  const problem = envValueProblem(value);
  if (problem !== null) throw new MappingError(path, problem, template.text);
  for (const root of template.roots) kept.add(root);
  return { template: template.text, tried: value };
}

function render(path: string, template: Template, scope: Scope) {
  const result = template.render(scope);
  if (!result.ok) throw new MappingError(path, result.error, result.clause);
  return result;
}

/** A whole number as such or written out; its range is checked with the limits, where the plan is made. */
function renderCount(template: Template, scope: Scope): number {
  const { raw, value } = render('taskCount', template, scope);
  if (typeof raw === 'number') return raw;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value);
  throw new MappingError(
    'taskCount',
    `is ${JSON.stringify(value)}, which is not a whole number`,
    template.text,
  );
}

function renderTimeout(template: Template, scope: Scope): number {
  const { value } = render('timeout', template, scope);
  try {
    return parseDuration(value);
  } catch (error) {
    if (!(error instanceof RangeError) && !isTappetError(error)) throw error;
    throw new MappingError('timeout', error.message, template.text);
  }
}

function pick(scope: Scope, roots: ReadonlySet<Root>): JsonObject {
  const context: JsonObject = {};
  for (const root of ROOTS) {
    const value = scope[root];
    if (root !== 'task' && roots.has(root) && value !== undefined) context[root] = value;
  }
  return context;
}
