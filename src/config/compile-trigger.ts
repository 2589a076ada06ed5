import type { SourceSpec, TriggerDefinition } from '../core/config.ts';
import { envValueProblem, refusedEnvName } from '../core/env.ts';
import { errorText, TappetError } from '../core/errors.ts';
import { triggerOrigin } from '../core/event.ts';
import type { Root, Template } from '../core/expression.ts';
import { JOB_RANGES } from '../core/job.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { SecretRef } from '../core/secrets.ts';
import type { RunMapping } from '../core/trigger.ts';
import { pathsRead } from '../expr/expressions.ts';
import { formatDuration, parseDuration } from '../lib/duration.ts';
import { secretWarning } from '../secrets/secret-reader.ts';
import type { CompileContext } from './context.ts';
import { compileCondition, compileTemplate, parsePart } from './context.ts';
import { etagOf } from './etag.ts';
import type { PathSegment } from './positions.ts';
import { placeText } from './problems.ts';
import { listOf, looseTextOf, mapOf, textOf } from './raw.ts';
import { triggerSchema } from './schema.ts';

type Path = readonly PathSegment[];

const EVENT_ROOTS: readonly Root[] = ['event', 'claims', 'trigger'];
const TASK_ROOTS: readonly Root[] = [...EVENT_ROOTS, 'task'];

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
  const { kind, auth } = mapOf(value['source']);
  if (kind === 'webhook') await checkAuth(mapOf(auth), [...path, 'source', 'auth'], context);
  if (input === undefined) return undefined;
  const { labels, annotations } = input;
  const source: SourceSpec = input.source;
  return {
    name,
    labels,
    annotations,
    source,
    origin: triggerOrigin(name),
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

/** Claims that every token of an issuer has, whoever it is made for: they say nothing about who calls. */
const TECHNICAL_CLAIMS = new Set<unknown>([
  'iss',
  'aud',
  'exp',
  'iat',
  'nbf',
  'jti',
  'auth_time',
  'nonce',
  'email_verified',
]);

async function checkAuth(auth: JsonObject, path: Path, context: CompileContext): Promise<void> {
  const [form, ...others] = Object.keys(auth);
  // Which of two forms is meant is not known.
  if (form === undefined || others.length > 0) return;
  const fields = mapOf(auth[form]);
  if (form === 'hmac') await checkSecret(fields['secret'], [...path, 'hmac', 'secret'], context);
  if (form === 'bearer') await checkSecret(fields['token'], [...path, 'bearer', 'token'], context);
  if (form === 'oidc') checkOidc(fields, [...path, 'oidc'], context);
}

function checkOidc(oidc: JsonObject, path: Path, context: CompileContext): void {
  const issuer = textOf(oidc['issuer']);
  if (issuer !== undefined && issuer !== '')
    checkName(issuer, context.issuerNames, [...path, 'issuer'], ['issuer', ' under "issuers"'], context);
  const require = textOf(oidc['require']);
  const at = [...path, 'require'];
  if (require === undefined || compileCondition(context, require, ['claims'], at) === null) return;
  const identifies = pathsRead(require).some(
    ({ root, tested, segments }) =>
      root === 'claims' && !tested && segments.length > 0 && !TECHNICAL_CLAIMS.has(segments[0]),
  );
  if (!identifies) {
    context.report.add(
      at,
      `must say who may call, by a claim such as claims.email or claims.sub: anyone can get a token of this issuer`,
    );
  }
}

/** Judged by the names alone, whether or not what they name is right. */
function checkName(
  name: string,
  known: ReadonlySet<string> | undefined,
  path: Path,
  [what, where]: readonly [string, string],
  { report, suggest }: CompileContext,
): void {
  if (known === undefined || known.has(name)) return;
  report.add(path, `there is no ${what} "${name}"${where}: ${suggest(name, known)}`);
}

async function checkSecret(value: Json | undefined, path: Path, context: CompileContext): Promise<void> {
  const ref = secretRef(value);
  if (ref === undefined) return;
  try {
    await context.secrets.resolve(ref);
    const warning = await secretWarning(ref, context.folder);
    if (warning !== undefined) context.warnings.push(`${placeText(context.report.place(path))} ${warning}`);
  } catch (error) {
    if (!(error instanceof TappetError)) throw error;
    const fix = error.fields.fix === undefined ? '' : `: ${error.fields.fix}`;
    context.report.add(path, `${error.message}${fix}`);
  }
}

/** Undefined where the schema has told what is wrong. */
function secretRef(value: Json | undefined): SecretRef | undefined {
  const { env, file } = mapOf(value);
  if (typeof env === 'string' && env !== '' && file === undefined) return { env };
  return typeof file === 'string' && file !== '' && env === undefined ? { file } : undefined;
}
