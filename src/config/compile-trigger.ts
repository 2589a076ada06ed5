import type { TriggerDefinition } from '../core/config.ts';
import { envValueProblem, refusedEnvName } from '../core/env.ts';
import { errorText } from '../core/errors.ts';
import type { Template } from '../core/expression.ts';
import { JOB_RANGES } from '../core/job.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { RunMapping } from '../core/trigger.ts';
import { formatDuration, parseDuration } from '../lib/duration.ts';
import { checkBodyFile } from './check-body-file.ts';
import { checkReplay } from './check-replay.ts';
import { compileAnswer } from './compile-answer.ts';
import { checkSource, compileIdentity, compileSource } from './compile-source.ts';
import { checkEventWords } from './compile-staging.ts';
import type { CompileContext } from './context.ts';
import {
  checkName,
  compileCondition,
  compileTemplate,
  EVENT_ROOTS,
  parsePart,
  TASK_ROOTS,
} from './context.ts';
import { etagOf } from './etag.ts';
import type { PathSegment } from './positions.ts';
import { listOf, looseTextOf, mapOf, textOf } from './raw.ts';
import { triggerSchema } from './schema.ts';

type Path = readonly PathSegment[];

/** The trigger under `name`, or undefined where it has errors, which are reported. */
export async function compileTrigger(
  name: string,
  value: JsonObject,
  context: CompileContext,
): Promise<TriggerDefinition | undefined> {
  const path = ['triggers', name];
  const input = parsePart(triggerSchema, value, path, context.report);
  const condition = textOf(value['when']);
  const when =
    condition === undefined ? null : compileCondition(context, condition, EVENT_ROOTS, [...path, 'when']);
  const run = compileRun(mapOf(value['run']), [...path, 'run'], context);
  const source = mapOf(value['source']);
  await checkSource(source, [...path, 'source'], context);
  const identify = compileIdentity(source, [...path, 'source'], context);
  const answer = compileAnswer(source, [...path, 'source'], context);
  checkEventWords(run.job, source, [...path, 'run', 'job'], context);
  if (input === undefined) return undefined;
  if (input.source.kind === 'webhook') {
    checkReplay(input.source, [...path, 'source'], context.report);
    checkBodyFile(source, input.source, [...path, 'source'], context.report);
  }
  const { labels, annotations } = input;
  return {
    name,
    labels,
    annotations,
    ...compileSource(name, input.source, context),
    ...(identify === null ? {} : { identify }),
    ...(answer === null ? {} : { answer }),
    when,
    run,
    etag: etagOf(value),
    definition: value,
  };
}

/** What cannot be used is left out: the schema has told of it. */
function compileRun(run: JsonObject, path: Path, context: CompileContext): RunMapping {
  const job = textOf(run['job']) ?? '';
  if (run['job'] === job) checkName(job, context.jobNames, [...path, 'job'], ['job', ''], context);
  const env: Record<string, Template> = {};
  for (const [name, value] of Object.entries(mapOf(run['env']))) {
    const template = compileEnv(name, looseTextOf(value), [...path, 'env', name], context);
    if (template !== null) env[name] = template;
  }
  const { taskCount } = run;
  const count = Number.isInteger(taskCount) ? looseTextOf(taskCount) : textOf(taskCount);
  const timeout = textOf(run['timeout']);
  return {
    job,
    env,
    args: run['args'] === undefined ? null : compileArgs(listOf(run['args']), [...path, 'args'], context),
    taskCount: count === undefined ? null : compileTaskCount(count, [...path, 'taskCount'], context),
    timeout: timeout === undefined ? null : compileTimeout(timeout, [...path, 'timeout'], context),
  };
}

function compileArgs(args: readonly Json[], path: Path, context: CompileContext): Template[] {
  return args.flatMap((arg, i) => {
    const text = looseTextOf(arg);
    const template = text === undefined ? null : compileTemplate(context, text, TASK_ROOTS, [...path, i]);
    return template ?? [];
  });
}

function compileEnv(
  name: string,
  text: string | undefined,
  path: Path,
  context: CompileContext,
): Template | null {
  const refused = refusedEnvName(name) ?? (text === undefined ? null : envValueProblem(text));
  if (refused !== null) context.report.addKey(path, `${name} ${refused}`);
  return text === undefined ? null : compileTemplate(context, text, TASK_ROOTS, path);
}

function compileTaskCount(text: string, path: Path, context: CompileContext): Template | null {
  const template = compileTemplate(context, text, EVENT_ROOTS, path);
  const { maxTasks } = context.server.limits;
  if (template !== null && !text.includes('${{')) {
    const count = /^\d+$/.test(text) ? Number(text) : 0;
    if (count < 1 || count > maxTasks) {
      context.report.add(
        path,
        `must be a whole number from 1 to ${maxTasks}; the limit is server.limits.maxTasks`,
      );
    }
  }
  return template;
}

function compileTimeout(text: string, path: Path, context: CompileContext): Template | null {
  const template = compileTemplate(context, text, EVENT_ROOTS, path);
  if (template !== null && !text.includes('${{')) {
    const problem = timeoutProblem(text);
    if (problem !== undefined) context.report.add(path, problem);
  }
  return template;
}

function timeoutProblem(text: string): string | undefined {
  const { min, max } = JOB_RANGES.timeoutMs;
  try {
    const ms = parseDuration(text);
    if (ms >= min && ms <= max) return undefined;
    return `must be between ${formatDuration(min)} and ${formatDuration(max)}, not ${text}`;
  } catch (error) {
    return errorText(error);
  }
}
