import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { TappetError } from '../core/errors.ts';
import type { SecretRef, Secrets } from '../core/secrets.ts';
import { SecretValue } from '../core/secrets.ts';

/** A secret is a key or a password; a path that leads to something larger is a slip. */
const MAX_BYTES = 64 * 1024;

export interface SecretReaderOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Relative files stand below it. */
  readonly baseDir: string;
  /** Where `{ secret }` is looked up. */
  readonly store?: { read(name: string, version?: number): Promise<SecretValue> };
}

/** Reads each secret anew at each call, so that a rotated file and a new version count at once. */
export function createSecrets(options: SecretReaderOptions): Secrets {
  return {
    async resolve(ref: SecretRef): Promise<SecretValue> {
      if ('secret' in ref) return readStored(ref, options.store);
      const value =
        'env' in ref
          ? readEnv(ref.env, options.env)
          : await readSecretFile(resolve(options.baseDir, ref.file));
      if (value === '') throw unreadable(`${placeOf(ref)} is empty`, 'put the secret there');
      return new SecretValue(value);
    },
  };
}

/** What is worth a warning about a readable secret; undefined = nothing. Windows has no such bits. */
export async function secretWarning(ref: SecretRef, baseDir: string): Promise<string | undefined> {
  if (!('file' in ref) || process.platform === 'win32') return undefined;
  const { mode } = await stat(resolve(baseDir, ref.file));
  if ((mode & 0o007) === 0) return undefined;
  const who = (mode & 0o002) === 0 ? 'can be read' : 'can be changed';
  return `the secret file "${ref.file}" ${who} by every user of this machine: chmod 600 ${ref.file}`;
}

async function readStored(
  ref: Extract<SecretRef, { secret: string }>,
  store: SecretReaderOptions['store'],
): Promise<SecretValue> {
  if (store !== undefined) return store.read(ref.secret, ref.version);
  throw unreadable(
    `the secret "${ref.secret}" is in a store of secrets, and there is none here`,
    'name an environment variable or a file instead',
  );
}

function readEnv(name: string, env: SecretReaderOptions['env']): string {
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (value === undefined) {
    throw unreadable(
      `the environment variable ${name} is not set`,
      `set ${name} where the gateway is started`,
    );
  }
  return value;
}

async function readSecretFile(path: string): Promise<string> {
  try {
    const info = await stat(path);
    // Reading a pipe or a device may never end.
    if (!info.isFile())
      throw unreadable(`"${path}" is not a file`, 'name a file that holds the secret alone');
    if (info.size > MAX_BYTES)
      throw unreadable(`"${path}" is larger than 64 KiB`, 'name a file that holds the secret alone');
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    if (error instanceof TappetError) throw error;
    throw unreadable(
      `the secret file "${path}" ${reason(error)}`,
      'check the path and who may read it',
      error,
    );
  }
}

function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read by this user';
  return `cannot be read (${String(code ?? error)})`;
}

function placeOf(ref: Exclude<SecretRef, { secret: string }>): string {
  return 'env' in ref ? `the environment variable ${ref.env}` : `the secret file "${ref.file}"`;
}

function unreadable(message: string, fix: string, cause?: unknown): TappetError {
  return new TappetError('SECRET_UNREADABLE', message, { fix }, cause);
}
