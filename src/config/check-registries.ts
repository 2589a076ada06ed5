import { resolve } from 'node:path';
import { isTappetError } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import { registryHost } from '../lib/image-pattern.ts';
import { readDockerConfig } from '../secrets/docker-config.ts';
import type { CompileContext } from './context.ts';
import { mapOf, textOf } from './raw.ts';
import { checkSecret } from './secret-reads.ts';

/** That the accounts of `server.registries` can be read; no registry is asked. */
export async function checkRegistries(
  server: Json,
  path: readonly string[],
  context: CompileContext,
): Promise<void> {
  for (const [host, value] of Object.entries(mapOf(mapOf(server)['registries']))) {
    const at = [...path, 'registries', host];
    const { username, password, dockerConfig } = mapOf(value);
    await checkSecret(username, [...at, 'username'], context);
    await checkSecret(password, [...at, 'password'], context);
    const file = textOf(dockerConfig) ?? '';
    if (file !== '') await checkDockerConfig(resolve(context.folder, file), registryHost(host), at, context);
  }
}

async function checkDockerConfig(
  file: string,
  host: string,
  at: readonly string[],
  { report }: CompileContext,
): Promise<void> {
  try {
    await readDockerConfig(file, host);
  } catch (error) {
    if (!isTappetError(error)) throw error;
    const fix = error.fields.fix === undefined ? '' : `: ${error.fields.fix}`;
    report.add([...at, 'dockerConfig'], `${error.message}${fix}`);
  }
}
