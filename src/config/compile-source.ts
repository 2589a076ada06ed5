import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { AuthSpec } from '../core/auth.ts';
import type { TriggerDefinition } from '../core/config.ts';
import { errorText } from '../core/errors.ts';
import { connectionOrigin, triggerOrigin } from '../core/event.ts';
import type { Root, Template } from '../core/expression.ts';
import type { JsonObject } from '../core/json.ts';
import { concerns } from '../../triggers/storage/config.ts';
import { isWithin, resolveLinks } from './binds.ts';
import { checkAuth } from './check-auth.ts';
import { checkChallenge } from './compile-answer.ts';
import type { CompileContext } from './context.ts';
import { checkConnectionName, compileTemplate } from './context.ts';
import type { PathSegment } from './positions.ts';
import { placeText } from './problems.ts';
import { mapOf, textOf } from './raw.ts';
import type { SourceInput } from './schema.ts';

type Path = readonly PathSegment[];
type CompiledSource = Pick<TriggerDefinition, 'source' | 'origin' | 'concerns' | 'issuers'>;
const CALL_ROOTS: readonly Root[] = ['event', 'claims', 'headers'];

/** What the schemas of the kinds cannot know: what names and paths lead to. */
export async function checkSource(source: JsonObject, path: Path, context: CompileContext): Promise<void> {
  const { kind, auth } = source;
  if (kind === 'webhook') {
    await checkAuth(mapOf(auth), [...path, 'auth'], context);
    await checkChallenge(source, path, context);
  }
  if (kind === 'storage') {
    const connection = textOf(source['connection']) ?? '';
    if (connection !== '') checkConnectionName(connection, [...path, 'connection'], context);
  }
  if (kind === 'files') {
    const folder = textOf(source['path']) ?? '';
    if (folder !== '') await checkFolder(resolve(context.folder, folder), [...path, 'path'], context);
  }
}

/** The source of the trigger `name`, as the rest of the gateway knows it. */
export function compileSource(
  name: string,
  input: SourceInput,
  { folder, issuerPresets }: Pick<CompileContext, 'folder' | 'issuerPresets'>,
): CompiledSource {
  if (input.kind === 'storage')
    return { source: input, origin: connectionOrigin(input.connection), concerns: concerns(input) };
  const origin = triggerOrigin(name);
  // Links stay as they are written: which folder stands there is looked up at each scan.
  if (input.kind === 'files') return { source: { ...input, path: resolve(folder, input.path) }, origin };
  if (input.kind === 'cron') return { source: input, origin };
  const issuers = issuersOf(input.auth).map((issuer) => [issuer, issuerPresets.get(issuer) ?? 'generic']);
  return { source: input, origin, ...(issuers.length === 0 ? {} : { issuers: Object.fromEntries(issuers) }) };
}

/** Whose tokens are taken. */
function issuersOf(auth: AuthSpec): string[] {
  if (auth === 'none') return [];
  if ('anyOf' in auth) return auth.anyOf.flatMap(issuersOf);
  return 'oidc' in auth ? [auth.oidc.issuer] : [];
}

/** Of a webhook with an `id`, and null else or where that has errors, which are reported. */
export function compileIdentity(source: JsonObject, at: Path, context: CompileContext): Template | null {
  const text = source['kind'] === 'webhook' ? textOf(source['id']) : undefined;
  if (text === undefined) return null;
  const path = [...at, 'id'];
  const template = compileTemplate(context, text, CALL_ROOTS, path);
  if (template === null || template.roots.length > 0) return template;
  const fix = 'such as "${{ event.data.id }}" or "${{ headers[\'x-request-id\'] }}"';
  context.report.add(
    path,
    `"${text}" is the same for every call, so that only one would count: read the call, ${fix}`,
  );
  return null;
}

async function checkFolder(folder: string, path: Path, context: CompileContext): Promise<void> {
  const { report, server, warnings } = context;
  const real = resolveLinks(folder);
  const dataDir = resolveLinks(server.dataDir);
  const shown = real === folder ? `"${folder}"` : `"${folder}" (which is ${real})`;
  if (isWithin(real, dataDir)) {
    report.add(path, `${shown} lies in the gateway's own data folder: watch one outside of ${dataDir}`);
    return;
  }
  if (isWithin(dataDir, real)) {
    const why = "holds the gateway's own data, which changes all the time";
    report.add(path, `${shown} ${why}: watch a folder of its own, such as "./inbox"`);
    return;
  }
  const problem = await folderProblem(folder);
  if (problem === 'missing')
    warnings.push(
      `${placeText(report.place(path))} the folder ${shown} does not exist: its trigger waits until it is there`,
    );
  else if (problem !== undefined) report.add(path, `${shown} ${problem}`);
}

async function folderProblem(folder: string): Promise<string | undefined> {
  try {
    return (await stat(folder)).isDirectory()
      ? undefined
      : 'is not a folder: name the folder in which files appear';
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return 'missing';
    if (code === 'ENOTDIR') return 'lies below a file: name the folder in which files appear';
    return code === 'EACCES'
      ? 'may not be looked into by this user'
      : `cannot be looked into (${errorText(error)})`;
  }
}
