import { createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { open } from 'node:fs/promises';
import { TappetError } from '../core/errors.ts';
import { hasCode } from '../lib/has-code.ts';

export const KEY_VARIABLE = 'TAPPET_SECRETS_KEY';
const KEY_BYTES = 32;
/** A longer file is none of ours. */
const MAX_KEY_TEXT = 1024;

/** The key in memory: an object of `node:crypto`, which does not print what it holds. */
export interface SecretKey {
  readonly key: KeyObject;
  /** The check value: the same for the same key, and tells nothing about it. Stands beside every sealed value. */
  readonly id: string;
  /** Where it came from, for messages. */
  readonly place: string;
}

/**
 * The key of the environment, else the one in the file `path`; undefined where neither is there.
 * Errors: SECRET_UNREADABLE where it is no key, or where the file can be read by others.
 */
export async function findKey(
  env: Readonly<Record<string, string | undefined>>,
  path: string,
): Promise<SecretKey | undefined> {
  const named = Object.hasOwn(env, KEY_VARIABLE) ? env[KEY_VARIABLE] : undefined;
  if (named !== undefined && named !== '') return toKey(named, `the environment variable ${KEY_VARIABLE}`);
  const text = await readKeyFile(path);
  return text === undefined ? undefined : toKey(text, `the key file ${path}`);
}

/** What a new key file holds: 32 random bytes in base64, a line. */
export function newKeyText(): string {
  return `${randomBytes(KEY_BYTES).toString('base64')}\n`;
}

async function readKeyFile(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, 'r');
    try {
      // Asked of the open file: the name could lead to another one a moment later.
      const { mode, size } = await file.stat();
      if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
        throw new TappetError(
          'SECRET_UNREADABLE',
          `the key file ${path} can be read or changed by other users of this machine`,
          { fix: `run: chmod 600 '${path}'` },
        );
      }
      return size > MAX_KEY_TEXT ? '' : await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function toKey(text: string, place: string): SecretKey {
  const bytes = decode(text.trim());
  if (bytes?.length !== KEY_BYTES) {
    const has = bytes === undefined ? 'neither base64 nor hex' : `${bytes.length} bytes`;
    throw new TappetError(
      'SECRET_UNREADABLE',
      `${place} does not hold a key of ${KEY_BYTES} bytes in base64 or hex: it is ${has}`,
      {
        fix: 'put the key there with which the secrets were stored; a new one is made by: openssl rand -base64 32',
      },
    );
  }
  const key = createSecretKey(bytes);
  return { key, id: checkValue(key), place };
}

/** Hex first: 64 such digits would be base64 too, of 48 bytes. */
function decode(text: string): Buffer | undefined {
  if (/^(?:[0-9a-f]{2})+$/i.test(text) && text.length === 2 * KEY_BYTES) return Buffer.from(text, 'hex');
  return /^[\w+/-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}

function checkValue(key: KeyObject): string {
  return Buffer.from(hkdfSync('sha256', key, '', 'tappet secrets: key check', 16)).toString('base64url');
}
