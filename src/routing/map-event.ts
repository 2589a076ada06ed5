import { envValueProblem } from '../core/env.ts';
import { isTappetError } from '../core/errors.ts';
import { ROOTS } from '../core/expression.ts';
import type { Root, Scope, Template } from '../core/expression.ts';
import type { JsonObject } from '../core/json.ts';
import type { RunMapping } from '../core/trigger.ts';
import { parseDuration } from '../lib/duration.ts';
import type { PlanOverrides, TaskTemplate } from './plan-execution.ts';

/** What `run` made of an event, or the first place where it failed. */
export type Mapped =
  | { readonly ok: true; readonly overrides: PlanOverrides; readonly context: JsonObject }
  | { readonly ok: false; readonly reason: string; readonly clause: string };

/** One failed template; never leaves this file. */
class MappingError extends Error {
  readonly clause: string;
  constructor(path: string, message: string, clause: string) {
    super(`run.${path}: ${message}`);
    this.clause = clause;
  }
}

/**
 * Renders everything in `run` that does not name `task`. What does is tried for index 0, so that a mistake shows
 * at the decision, and stays a template; `context` has the values that it reads.
 */
export function mapEvent(run: RunMapping, scope: Scope, defaultTaskCount: number): Mapped {
  try {
    // First: the trial of a template that names `task` needs the count.
    const taskCount = run.taskCount === null ? undefined : renderCount(run.taskCount, scope);
    const trial: Scope = { ...scope, task: { index: 0, count: taskCount ?? defaultTaskCount, attempt: 0 } };
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
    return { ok: true, overrides, context: pick(scope, roots) };
  } catch (error) {
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
  return { template: template.text };
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
