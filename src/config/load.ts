import { resolve } from 'node:path';
import type { Config, JobDefinition, TriggerDefinition } from '../core/config.ts';
import type { IssuerSpec } from '../core/auth.ts';
import type { Template } from '../core/expression.ts';
import type { JsonObject } from '../core/json.ts';
import type { ReceiverSpec } from '../core/notify.ts';
import type { ConnectionSpec } from '../core/objects.ts';
import { createExpressions } from '../expr/expressions.ts';
import { breather } from '../lib/breather.ts';
import { createSecrets } from '../secrets/secret-reader.ts';
import { SecretStore } from '../secrets/secret-store.ts';
import { compileConnection } from './compile-connection.ts';
import { compileIssuer, presetOf } from './compile-issuer.ts';
import { compileJob } from './compile-job.ts';
import { checkNotify, compileReceiver } from './compile-notify.ts';
import { checkRegistries } from './check-registries.ts';
import { compileServer, defaultServer } from './compile-server.ts';
import { eventWordsOf } from './compile-staging.ts';
import { compileTrigger } from './compile-trigger.ts';
import type { CompileContext } from './context.ts';
import { suggestions } from './context.ts';
import { readDocuments } from './documents.ts';
import { deepFreeze } from './etag.ts';
import { NAME_PATTERN } from './fields.ts';
import { mergeDocuments } from './merge.ts';
import type { Entry, Merged } from './merge.ts';
import { changeableByAll, doorProblem, doorWarning, openDoors } from './open-doors.ts';
import { Problems } from './problems.ts';
import { isMap, mapOf } from './raw.ts';
import { SecretReads } from './secret-reads.ts';

export interface LoadedConfig extends Config {
  /** Absolute folder of the configuration: relative paths in it start here. */
  readonly folder: string;
  /** Absolute: where the files want the data, whatever a flag says. */
  readonly writtenDataDir: string;
  /** What is legal but worth a word, such as a secret file that everyone can read; one line each. */
  readonly warnings: readonly string[];
}
export interface LoadOptions {
  /** Where `{ env }` secrets are looked up; the process's own if absent. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Instead of `server.dataDir`: a path that starts at the working folder, as a flag does. */
  readonly dataDir?: string | undefined;
  /** Instead of `server.host`, as a flag names it. */
  readonly host?: string | undefined;
}

/**
 * Reads, checks and compiles a configuration file, or the union of all `*.json`, `*.yaml` and `*.yml` of a folder.
 * Errors: CONFIG_INVALID, whose message has a line `file:line:col path: what and what to do` for every problem, and
 * whose `fields.errors` has the same by place. Nothing comes back unless everything is right.
 */
export async function loadConfig(path: string, options: LoadOptions = {}): Promise<LoadedConfig> {
  const problems = new Problems();
  const files = await readDocuments(path, problems);
  const merged = mergeDocuments(files, problems);
  const env = options.env ?? process.env;
  const { folder } = files;
  const [server = defaultServer(folder, options.dataDir)] = merged.server.map((entry) =>
    compileServer(entry, folder, options.dataDir),
  );
  const warnings: string[] = [];
  const store = new SecretStore({ dataDir: server.dataDir, env });
  const context = {
    warnings,
    expressions: createExpressions(),
    secrets: new SecretReads(createSecrets({ env, baseDir: folder, store }), folder),
    folder,
    server,
    jobNames: merged.jobNames,
    issuerNames: merged.issuerNames,
    issuerPresets: new Map(merged.issuers.map(({ name, value }) => [name, presetOf(mapOf(value))])),
    connectionNames: merged.connectionNames,
    receiverNames: merged.receiverNames,
    eventWords: new Map(merged.jobs.map(({ name, value }) => [name, eventWordsOf(value)])),
    templates: new Map<string, Template>(),
    suggest: suggestions(),
  };
  for (const { value, path: at, report } of merged.server) {
    await checkRegistries(value, at, { ...context, report });
    checkNotify(mapOf(value)['notify'], [...at, 'notify'], { ...context, report });
  }
  const parts = await compileParts(merged, context, env);
  const host = options.host ?? server.host;
  const open = openDoors(host, parts.triggers.values());
  if (open.size > 0 && server.allowAnonymous) warnings.push(doorWarning(host, open));
  for (const { name, path: at, report } of server.allowAnonymous ? [] : merged.triggers) {
    const words = open.get(name);
    if (words !== undefined) report.add([...at, 'source', 'auth'], doorProblem(host, words));
  }
  if (problems.any) throw problems.toError();
  const writtenDataDir = dataDirOf(merged, folder);
  warnings.push(...(await changeableByAll(new Set([path, ...files.documents.map(({ file }) => file)]))));
  return deepFreeze({ server, ...parts, folder, writtenDataDir, warnings });
}

function dataDirOf(merged: Merged, folder: string): string {
  const written = mapOf(merged.server[0]?.value)['dataDir'];
  return typeof written === 'string' ? resolve(folder, written) : defaultServer(folder, undefined).dataDir;
}

async function compileParts(
  merged: Merged,
  context: Omit<CompileContext, 'report'>,
  env: NonNullable<LoadOptions['env']>,
) {
  const issuers = new Map<string, IssuerSpec>();
  const connections = new Map<string, ConnectionSpec>();
  const notifications = new Map<string, ReceiverSpec>();
  const jobs = new Map<string, JobDefinition>();
  const triggers = new Map<string, TriggerDefinition>();
  // A reload shares the process with calls and tasks.
  const breathe = breather();
  const { server } = context;
  const rules = { allowed: server.allowedBinds, dataDir: server.dataDir, env };
  for (const { name, value, report } of usable(merged.issuers)) {
    keep(issuers, name, compileIssuer(name, value, report));
  }
  for (const { name, value, report } of usable(merged.connections)) {
    keep(connections, name, await compileConnection(name, value, { ...context, report }));
  }
  for (const { name, value, report } of usable(merged.notifications)) {
    keep(notifications, name, await compileReceiver(name, value, { ...context, report }));
  }
  for (const { name, value, report } of usable(merged.jobs)) {
    await breathe();
    keep(jobs, name, await compileJob(name, value, { ...context, report }, rules));
  }
  for (const { name, value, report } of usable(merged.triggers)) {
    await breathe();
    keep(triggers, name, await compileTrigger(name, value, { ...context, report }));
  }
  return { issuers, connections, notifications, jobs, triggers };
}

function keep<T>(map: Map<string, T>, name: string, value: T | undefined): void {
  if (value !== undefined) map.set(name, value);
}

/** Those that are maps, bad names included: what else is wrong with them is told too. */
function* usable(entries: readonly Entry[]): Iterable<Entry & { readonly value: JsonObject }> {
  for (const { name, path, value, report } of entries) {
    if (!NAME_PATTERN.test(name)) {
      const rule = 'write lower-case letters, digits and dashes, a letter first and no dash last, at most 49';
      report.addKey(path, `"${name}" cannot be a name: ${rule}`);
    }
    if (isMap(value)) yield { name, path, value, report };
    else report.add(path, 'must be a map of settings');
  }
}
