import { isAbsolute, resolve } from 'node:path';
import type { Config, JobDefinition, ServerSettings, TriggerDefinition } from '../core/config.ts';
import type { IssuerSpec } from '../core/auth.ts';
import type { Json, JsonObject } from '../core/json.ts';
import { createExpressions } from '../expr/expressions.ts';
import { createSecrets } from '../secrets/secret-reader.ts';
import { resolveLinks } from './binds.ts';
import { compileIssuer } from './compile-issuer.ts';
import { compileJob } from './compile-job.ts';
import { compileTrigger } from './compile-trigger.ts';
import type { CompileContext } from './context.ts';
import { parsePart } from './context.ts';
import type { ConfigFiles } from './documents.ts';
import { readDocuments } from './documents.ts';
import { deepFreeze } from './etag.ts';
import { NAME_PATTERN } from './fields.ts';
import { mergeDocuments } from './merge.ts';
import type { Merged } from './merge.ts';
import { Problems } from './problems.ts';
import type { ServerInput } from './schema.ts';
import { serverSchema } from './schema.ts';

export interface LoadedConfig extends Config {
  /** Absolute folder of the configuration: relative paths in it start here. */
  readonly folder: string;
  /** What is legal but worth a word, such as a secret file that everyone can read; one line each. */
  readonly warnings: readonly string[];
}
export interface LoadOptions {
  /** Where `{ env }` secrets are looked up; the process's own if absent. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Instead of `server.dataDir`: a path that starts at the working folder, as a flag does. */
  readonly dataDir?: string;
}

/**
 * Reads, checks and compiles a configuration file, or the union of all `*.json`, `*.yaml` and `*.yml` of a folder.
 * Errors: CONFIG_INVALID, whose message has a line `file:line:col path: what and what to do` for every problem, and
 * whose `fields.errors` has the same by place. Nothing comes back unless everything is right.
 */
export async function loadConfig(path: string, options: LoadOptions = {}): Promise<LoadedConfig> {
  const problems = new Problems();
  const files = await readDocuments(path, problems);
  const merged = mergeDocuments(files.documents, problems);
  const env = options.env ?? process.env;
  const server = compileServer(merged, files, problems, options.dataDir);
  const context: CompileContext = {
    problems,
    warnings: [],
    expressions: createExpressions(),
    secrets: createSecrets({ env, baseDir: files.folder }),
    folder: files.folder,
    server,
    jobNames: Object.keys(merged.jobs),
    issuerNames: Object.keys(merged.issuers),
  };
  const parts = await compileParts(merged, context, env);
  if (problems.any) throw problems.toError();
  return deepFreeze({ server, ...parts, folder: files.folder, warnings: context.warnings });
}

async function compileParts(merged: Merged, context: CompileContext, env: NonNullable<LoadOptions['env']>) {
  const { problems, server } = context;
  const issuers = new Map<string, IssuerSpec>();
  const jobs = new Map<string, JobDefinition>();
  const triggers = new Map<string, TriggerDefinition>();
  const rules = { allowed: server.allowedBinds, dataDir: server.dataDir, env };
  for (const [name, value] of named(merged.issuers, 'issuers', problems)) {
    keep(issuers, name, compileIssuer(name, value, problems));
  }
  for (const [name, value] of named(merged.jobs, 'jobs', problems)) {
    keep(jobs, name, compileJob(name, value, context, rules));
  }
  for (const [name, value] of named(merged.triggers, 'triggers', problems)) {
    keep(triggers, name, await compileTrigger(name, value, context));
  }
  return { issuers, jobs, triggers };
}

function keep<T>(map: Map<string, T>, name: string, value: T | undefined): void {
  if (value !== undefined) map.set(name, value);
}

function* named(values: JsonObject, section: string, problems: Problems): Iterable<[string, JsonObject]> {
  for (const [name, value] of Object.entries(values)) {
    if (!NAME_PATTERN.test(name)) {
      const rule = 'write lower-case letters, digits and dashes, a letter first and no dash last, at most 49';
      problems.addKey([section, name], `"${name}" cannot be a name: ${rule}`);
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) yield [name, value];
    else problems.add([section, name], 'must be a map of settings');
  }
}

function compileServer(
  merged: Merged,
  { folder }: ConfigFiles,
  problems: Problems,
  dataDir: string | undefined,
): ServerSettings {
  const value = merged.server ?? {};
  const input = parsePart(serverSchema, value, ['server'], problems) ?? usableSettings(value);
  const allowedBinds: string[] = [];
  for (const [i, bind] of input.allowedBinds.entries()) {
    if (isAbsolute(bind)) allowedBinds.push(resolveLinks(bind));
    else problems.add(['server', 'allowedBinds', i], `"${bind}" must be an absolute path`);
  }
  return {
    host: input.host,
    port: input.port,
    dataDir: dataDir === undefined ? resolve(folder, input.dataDir) : resolve(dataDir),
    maxBodyBytes: input.maxBody,
    maxRunningTasks: input.maxRunningTasks,
    limits: input.limits,
    allowedBinds,
    eventRetentionMs: input.eventRetention,
  };
}

/** The settings without those that have errors, so that a slip in one does not make others out of every job. */
function usableSettings(value: Json): ServerInput {
  const usable: JsonObject = {};
  for (const [key, field] of Object.entries(serverSchema.shape)) {
    const setting =
      typeof value === 'object' && value !== null && !Array.isArray(value) ? value[key] : undefined;
    if (setting !== undefined && field.safeParse(setting).success) usable[key] = setting;
  }
  return serverSchema.parse(usable);
}
