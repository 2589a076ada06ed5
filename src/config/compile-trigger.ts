import type { AuthSpec } from '../core/auth.ts';
import type { SourceSpec, TriggerDefinition } from '../core/config.ts';
import { envValueProblem, refusedEnvName } from '../core/env.ts';
import { errorText, TappetError } from '../core/errors.ts';
import { triggerOrigin } from '../core/event.ts';
import type { Root, Template } from '../core/expression.ts';
import { JOB_RANGES } from '../core/job.ts';
import type { JsonObject } from '../core/json.ts';
import type { SecretRef } from '../core/secrets.ts';
import type { RunMapping } from '../core/trigger.ts';
import { pathsRead } from '../expr/expressions.ts';
import { formatDuration, parseDuration } from '../lib/duration.ts';
import { suggest } from '../lib/nearest.ts';
import { secretWarning } from '../secrets/secret-reader.ts';
import type { CompileContext } from './context.ts';
import { compileCondition, compileTemplate, parsePart } from './context.ts';
import { etagOf } from './etag.ts';
import type { PathSegment } from './documents.ts';
import { placeText } from './problems.ts';
import type { TriggerInput } from './schema.ts';
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
  const input = parsePart(triggerSchema, value, path, context.problems);
  if (input === undefined) return undefined;
  const when =
    input.when === undefined ? null : compileCondition(context, input.when, EVENT_ROOTS, [...path, 'when']);
  const run = compileRun(input.run, [...path, 'run'], context);
  if (input.source.kind === 'webhook')
    await checkAuth(input.source.auth, [...path, 'source', 'auth'], context);
  const { labels, annotations } = input;
  const source: SourceSpec = input.source;
  const definition = structuredClone(value);
  return {
    name,
    labels,
    annotations,
    source,
    origin: triggerOrigin(name),
    when,
    run,
    etag: etagOf(definition),
    definition,
  };
}

function compileRun(input: TriggerInput['run'], path: Path, context: CompileContext): RunMapping {
  if (!context.jobNames.includes(input.job)) {
    context.problems.add(
      [...path, 'job'],
      `there is no job "${input.job}": ${suggest(input.job, context.jobNames)}`,
    );
  }
  const env: Record<string, Template> = {};
  for (const [name, text] of Object.entries(input.env)) {
    const template = compileEnv(name, text, [...path, 'env', name], context);
    if (template !== null) env[name] = template;
  }
  const args = input.args?.map((arg, i) => compileTemplate(context, arg, TASK_ROOTS, [...path, 'args', i]));
  const { taskCount, timeout } = input;
  return {
    job: input.job,
    env,
    args: args?.filter((template) => template !== null) ?? null,
    taskCount:
      taskCount === undefined ? null : compileTaskCount(String(taskCount), [...path, 'taskCount'], context),
    timeout: timeout === undefined ? null : compileTimeout(timeout, [...path, 'timeout'], context),
  };
}

function compileEnv(name: string, text: string, path: Path, context: CompileContext): Template | null {
  const refused = refusedEnvName(name) ?? envValueProblem(text);
  if (refused !== null) context.problems.addKey(path, `${name} ${refused}`);
  return compileTemplate(context, text, TASK_ROOTS, path);
}

function compileTaskCount(text: string, path: Path, context: CompileContext): Template | null {
  const template = compileTemplate(context, text, EVENT_ROOTS, path);
  const { maxTasks } = context.server.limits;
  if (template !== null && !text.includes('${{')) {
    const count = /^\d+$/.test(text) ? Number(text) : 0;
    if (count < 1 || count > maxTasks) {
      context.problems.add(
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
    if (problem !== undefined) context.problems.add(path, problem);
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

async function checkAuth(auth: AuthSpec, path: Path, context: CompileContext): Promise<void> {
  if (auth === 'none') return;
  if ('hmac' in auth) return checkSecret(auth.hmac.secret, [...path, 'hmac', 'secret'], context);
  if ('bearer' in auth) return checkSecret(auth.bearer.token, [...path, 'bearer', 'token'], context);
  const { issuer, require } = auth.oidc;
  if (!context.issuerNames.includes(issuer)) {
    const known = suggest(issuer, context.issuerNames);
    context.problems.add(
      [...path, 'oidc', 'issuer'],
      `there is no issuer "${issuer}" under "issuers": ${known}`,
    );
  }
  const at = [...path, 'oidc', 'require'];
  if (compileCondition(context, require, ['claims'], at) === null) return;
  const identifies = pathsRead(require).some(
    ({ root, tested, segments }) =>
      root === 'claims' && !tested && segments.length > 0 && !TECHNICAL_CLAIMS.has(segments[0]),
  );
  if (!identifies) {
    context.problems.add(
      at,
      `must say who may call, by a claim such as claims.email or claims.sub: anyone can get a token of this issuer`,
    );
  }
}

async function checkSecret(ref: SecretRef, path: Path, context: CompileContext): Promise<void> {
  try {
    await context.secrets.resolve(ref);
    const warning = await secretWarning(ref, context.folder);
    if (warning !== undefined) context.warnings.push(`${placeText(context.problems.place(path))} ${warning}`);
  } catch (error) {
    if (!(error instanceof TappetError)) throw error;
    const fix = error.fields.fix === undefined ? '' : `: ${error.fields.fix}`;
    context.problems.add(path, `${error.message}${fix}`);
  }
}
