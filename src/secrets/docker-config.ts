import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { TappetError, errorText } from '../core/errors.ts';
import type { RegistryAccount } from '../core/registry.ts';
import { SecretValue } from '../core/secrets.ts';
import { DOCKER_HUB } from '../lib/image-pattern.ts';

/** A hundred accounts are a few KiB. */
const MAX_BYTES = 1024 * 1024;

const entryShape = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
});
/** The file that `docker login` writes; what else is in it is nobody's affair. */
const fileShape = z.object({
  auths: z.record(z.string(), entryShape).optional(),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
});
type DockerConfig = z.infer<typeof fileShape>;

/**
 * The account for `host` in a Docker configuration. Errors: SECRET_UNREADABLE, also where the file has no such account,
 * or keeps it in a helper program.
 */
export async function readDockerConfig(file: string, host: string): Promise<RegistryAccount> {
  const config = parse(file, await read(file));
  const names = namesOf(host);
  const entry = names.map((name) => config.auths?.[name]).find((one) => one !== undefined);
  const account = entry === undefined ? undefined : accountOf(entry);
  if (account !== undefined) return account;
  const helper =
    names.map((name) => config.credHelpers?.[name]).find((one) => one !== undefined) ?? config.credsStore;
  if (helper !== undefined)
    throw unreadable(
      `"${file}" keeps the account for ${host} in the helper program "${helper}", which is not asked`,
      'write "username" and "password" instead',
    );
  throw unreadable(`"${file}" has no account for ${host}`, `docker login ${host} writes one`);
}

/** As Docker and its relatives have written them over the years. */
function namesOf(host: string): string[] {
  const hosts = host === DOCKER_HUB ? ['index.docker.io', DOCKER_HUB] : [host];
  return hosts.flatMap((one) => [
    `https://${one}/v1/`,
    one,
    `https://${one}`,
    `http://${one}`,
    `https://${one}/v2/`,
  ]);
}

function accountOf({
  auth,
  username,
  password,
  identitytoken,
}: z.infer<typeof entryShape>): RegistryAccount | undefined {
  if (identitytoken !== undefined && identitytoken !== '')
    return { identityToken: new SecretValue(identitytoken) };
  if (username !== undefined && password !== undefined)
    return { username, password: new SecretValue(password) };
  const text = Buffer.from(auth ?? '', 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon <= 0) return undefined;
  return { username: text.slice(0, colon), password: new SecretValue(text.slice(colon + 1)) };
}

async function read(file: string): Promise<string> {
  try {
    const info = await stat(file);
    // Reading a pipe or a device may never end.
    if (info.isFile() && info.size <= MAX_BYTES) return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${errorText(error)})`;
    throw unreadable(
      `the Docker configuration "${file}" ${why}`,
      'check the path and who may read it',
      error,
    );
  }
  throw unreadable(`"${file}" is no Docker configuration`, 'name a config.json as docker login writes it');
}

function parse(file: string, text: string): DockerConfig {
  try {
    return fileShape.parse(JSON.parse(text));
  } catch {
    // What is wrong with it might quote it.
    throw unreadable(`"${file}" is no Docker configuration`, 'name a config.json as docker login writes it');
  }
}

function unreadable(message: string, fix: string, cause?: unknown): TappetError {
  return new TappetError('SECRET_UNREADABLE', message, { fix }, cause);
}
