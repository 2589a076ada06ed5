import { posix } from 'node:path';
import {
  argsTotalProblem,
  envTotalProblem,
  envValueProblem,
  refusedJobEnvName,
  wordProblem,
} from '../core/env.ts';
import type { JobDefinition } from '../core/config.ts';
import type { Bind, JobSpec } from '../core/job.ts';
import type { Json, JsonObject } from '../core/json.ts';
import { imageRefused, isAllowedImage } from '../lib/image-pattern.ts';
import { parseImageRef } from '../lib/image-ref.ts';
import type { BindRules } from './binds.ts';
import { checkBind } from './binds.ts';
import { checkStaging } from './compile-staging.ts';
import { checkNotify, notifyOf } from './compile-notify.ts';
import { checkRetry, retryFields } from './compile-retry.ts';
import type { CompileContext } from './context.ts';
import { compileTemplate, parsePart } from './context.ts';
import { etagOf } from './etag.ts';
import type { PathSegment } from './positions.ts';
import { isMap, listOf, looseTextOf, mapOf, textOf } from './raw.ts';
import type { JobInput } from './schema.ts';
import { jobSchema } from './schema.ts';
import { checkSecret } from './secret-reads.ts';

type Path = readonly PathSegment[];

/** The job under `name`, or undefined where it has errors, which are reported. */
export async function compileJob(
  name: string,
  value: JsonObject,
  context: CompileContext,
  rules: BindRules,
): Promise<JobDefinition | undefined> {
  const path = ['jobs', name];
  const input = parsePart(jobSchema, value, path, context.report);
  checkLimits(value, path, context);
  checkImage(value['image'], [...path, 'image'], context);
  checkRetry(value, path, context);
  checkNotify(value['notify'], [...path, 'notify'], context);
  await checkEnv(value['env'], [...path, 'env'], context);
  checkCommandLine(value, path, context);
  const binds = compileBinds(value['volumes'], [...path, 'volumes'], context, rules);
  const addresses = await checkStaging(value, path, context);
  if (input === undefined) return undefined;
  const notify = notifyOf(input.notify, context.server.notify);
  const spec = { ...toSpec(input, binds), ...(notify === undefined ? {} : { notify }) };
  const { labels, annotations } = input;
  return {
    name,
    labels,
    annotations,
    spec,
    ...(addresses.size === 0 ? {} : { addresses }),
    etag: etagOf({ spec, labels, annotations }),
  };
}

function toSpec(input: JobInput, binds: readonly Bind[]): JobSpec {
  const { command, args, workingDir, user, inputs, outputs, output } = input;
  return {
    image: input.image,
    ...(input.pullPolicy === undefined ? {} : { pullPolicy: input.pullPolicy }),
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
    ...retryFields(input),
    timeoutMs: input.timeout,
    gracePeriodMs: input.gracePeriod,
    retentionMs: input.retention,
    ...admissionFields(input),
    ...(input.maxLogBytes === undefined ? {} : { maxLogBytes: input.maxLogBytes }),
    binds,
    ...(inputs.length === 0 ? {} : { inputs }),
    ...(outputs.length === 0 ? {} : { outputs }),
    ...(output === undefined ? {} : { output }),
  };
}

type AdmissionFields = Pick<JobSpec, 'retentionCount' | 'maxConcurrentExecutions'>;

function admissionFields({ retentionCount, maxConcurrentExecutions }: JobInput): AdmissionFields {
  return {
    ...(retentionCount === undefined ? {} : { retentionCount }),
    ...(maxConcurrentExecutions === undefined ? {} : { maxConcurrentExecutions }),
  };
}

function checkLimits(job: JsonObject, path: Path, { report, server }: CompileContext): void {
  for (const [key, limit] of [
    ['taskCount', 'maxTasks'],
    ['parallelism', 'maxParallelism'],
  ] as const) {
    const value = job[key];
    const max = server.limits[limit];
    if (typeof value === 'number' && value > max)
      report.add([...path, key], `must be at most ${max}; the limit is server.limits.${limit}`);
  }
}

function checkImage(image: Json | undefined, path: Path, { report, server }: CompileContext): void {
  const { allowedImages } = server;
  if (allowedImages === null || typeof image !== 'string' || parseImageRef(image) === null) return;
  if (!isAllowedImage(image, allowedImages)) report.add(path, imageRefused(image, allowedImages));
}

async function checkEnv(value: Json | undefined, path: Path, context: CompileContext): Promise<void> {
  const env: Record<string, string> = {};
  for (const [name, item] of Object.entries(mapOf(value))) {
    const at = [...path, name];
    const text = isMap(item) ? (await checkSecret(item, at, context))?.reveal() : looseTextOf(item);
    const refused = refusedJobEnvName(name) ?? (text === undefined ? null : envValueProblem(text));
    if (refused !== null) context.report.addKey(at, `${name} ${refused}`);
    if (text === undefined) continue;
    if (!isMap(item)) compileTemplate(context, text, ['task'], at);
    env[name] = text;
  }
  const total = envTotalProblem(env);
  if (total !== null) context.report.add(path, total);
}

function checkCommandLine({ command, args }: JsonObject, path: Path, context: CompileContext): void {
  const { report } = context;
  const words = (value: Json | undefined): string[] => listOf(value).map((item) => looseTextOf(item) ?? '');
  const check = (word: string, at: Path): void => {
    const problem = wordProblem(word);
    if (problem !== null) report.add(at, problem);
  };
  for (const [i, word] of words(command).entries()) check(word, [...path, 'command', i]);
  for (const [i, word] of words(args).entries()) {
    const at = [...path, 'args', i];
    compileTemplate(context, word, ['task'], at);
    if (!word.includes('${{')) check(word, at);
  }
  const total = argsTotalProblem(words(args), words(command));
  if (total !== null) report.add([...path, args === undefined ? 'command' : 'args'], total);
}

function compileBinds(
  value: Json | undefined,
  path: Path,
  { report }: CompileContext,
  rules: BindRules,
): Bind[] {
  const binds: Bind[] = [];
  const taken = new Set<string>();
  for (const [i, item] of listOf(value).entries()) {
    const { bind, to, readOnly } = volumeOf(item);
    const result = bind === undefined ? undefined : checkBind({ bind, to: to ?? '', readOnly }, rules);
    if (result?.ok === false) report.add([...path, i, 'bind'], result.message);
    if (result?.ok === true) binds.push(result.bind);
    if (to === undefined) continue;
    const target = posix.normalize(to);
    if (taken.has(target)) report.add([...path, i, 'to'], `another volume stands at "${target}" already`);
    taken.add(target);
  }
  return binds;
}

function volumeOf(item: Json) {
  const { bind, to, readOnly } = mapOf(item);
  return { bind: textOf(bind), to: textOf(to), readOnly: readOnly !== false };
}
