import { envTotalProblem, envValueProblem, refusedJobEnvName } from '../core/env.ts';
import type { JobDefinition } from '../core/config.ts';
import type { Bind, JobSpec } from '../core/job.ts';
import type { BindRules } from './binds.ts';
import { checkBind } from './binds.ts';
import type { CompileContext } from './context.ts';
import { compileTemplate, parsePart } from './context.ts';
import { etagOf } from './etag.ts';
import type { JobInput } from './schema.ts';
import { jobSchema } from './schema.ts';

/** The job under `name`, or undefined where it has errors, which are reported. */
export function compileJob(
  name: string,
  value: unknown,
  context: CompileContext,
  rules: BindRules,
): JobDefinition | undefined {
  const path = ['jobs', name];
  const input = parsePart(jobSchema, value, path, context.problems);
  if (input === undefined) return undefined;
  checkLimits(input, path, context);
  checkEnv(input, path, context);
  input.args?.forEach((arg, i) => compileTemplate(context, arg, ['task'], [...path, 'args', i]));
  const spec = toSpec(input, compileBinds(input, path, context, rules));
  const { labels, annotations } = input;
  return { name, labels, annotations, spec, etag: etagOf({ spec, labels, annotations }) };
}

function toSpec(input: JobInput, binds: readonly Bind[]): JobSpec {
  const { command, args, workingDir, user } = input;
  return {
    image: input.image,
    ...(command === undefined ? {} : { command }),
    ...(args === undefined ? {} : { args }),
    env: input.env,
    ...(workingDir === undefined ? {} : { workingDir }),
    ...(user === undefined ? {} : { user }),
    cpu: input.cpu,
    memoryBytes: input.memory,
    taskCount: input.taskCount,
    parallelism: input.parallelism,
    maxRetries: input.maxRetries,
    timeoutMs: input.timeout,
    gracePeriodMs: input.gracePeriod,
    retentionMs: input.retention,
    binds,
  };
}

function checkLimits(input: JobInput, path: readonly string[], { problems, server }: CompileContext): void {
  const { maxTasks, maxParallelism } = server.limits;
  if (input.taskCount > maxTasks) {
    problems.add([...path, 'taskCount'], `must be at most ${maxTasks}; the limit is server.limits.maxTasks`);
  }
  if (input.parallelism > maxParallelism) {
    problems.add(
      [...path, 'parallelism'],
      `must be at most ${maxParallelism}; the limit is server.limits.maxParallelism`,
    );
  }
}

function checkEnv(input: JobInput, path: readonly string[], context: CompileContext): void {
  for (const [name, value] of Object.entries(input.env)) {
    const at = [...path, 'env', name];
    const refused = refusedJobEnvName(name) ?? envValueProblem(value);
    if (refused !== null) context.problems.addKey(at, `${name} ${refused}`);
    compileTemplate(context, value, ['task'], at);
  }
  const total = envTotalProblem(input.env);
  if (total !== null) context.problems.add([...path, 'env'], total);
}

function compileBinds(
  input: JobInput,
  path: readonly string[],
  context: CompileContext,
  rules: BindRules,
): Bind[] {
  const binds: Bind[] = [];
  for (const [i, volume] of input.volumes.entries()) {
    const result = checkBind(volume, rules);
    if (!result.ok) context.problems.add([...path, 'volumes', i, 'bind'], result.message);
    else if (binds.some((other) => other.to === result.bind.to)) {
      context.problems.add(
        [...path, 'volumes', i, 'to'],
        `another volume stands at "${result.bind.to}" already`,
      );
    } else binds.push(result.bind);
  }
  return binds;
}
