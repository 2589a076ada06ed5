import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Auth, Principal } from '../core/auth.ts';
import { errorText, TappetError } from '../core/errors.ts';
import { PERMISSIONS } from '../core/permissions.ts';
import { SecretValue } from '../core/secrets.ts';
import { hasCode } from '../lib/has-code.ts';
import { secretComparer } from './comparisons.ts';
import { bearerCredentials, isSendable } from './shared-secret.ts';

const TOKEN_BYTES = 32;
/** For tokens that a user puts there by hand: 16 characters of hex are 64 bits, too many to try over HTTP. */
const MIN_LENGTH = 16;

export interface ApiToken {
  readonly path: string;
  readonly token: SecretValue;
  /** It was made by this call. */
  readonly created: boolean;
}

/**
 * The API token of a data folder, in the file `token` (`tpt_` and 32 random bytes in base64url), made at the first
 * start. Errors: DATA_FOLDER_UNUSABLE where the file is empty, too short, readable by others or cannot be used.
 */
export async function ensureToken(dataDir: string): Promise<ApiToken> {
  const path = join(dataDir, 'token');
  try {
    const created = await createToken(dataDir, path);
    return { path, token: await readToken(path), created };
  } catch (error) {
    if (error instanceof TappetError) throw error;
    throw unusable(
      path,
      `cannot be used: ${errorText(error)}`,
      'Give the gateway its own data folder.',
      error,
    );
  }
}

/** false where the file was there. Linked into place when whole, so that a crash leaves no empty token behind. */
async function createToken(dataDir: string, path: string): Promise<boolean> {
  if (await exists(path)) return false;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(6).toString('hex')}.new`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(`tpt_${randomBytes(TOKEN_BYTES).toString('base64url')}\n`);
    await file.sync();
    await link(draft, path);
    return true;
  } catch (error) {
    // Another process was faster; its token counts.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await file.close();
    await unlink(draft);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

async function readToken(path: string): Promise<SecretValue> {
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    const fix = `Run: chmod 600 '${path}' (or delete it, where others may have read it: the next start makes a new one).`;
    throw unusable(path, 'can be read or changed by other users of this machine.', fix);
  }
  const text = (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  const fix = 'Delete it: the next start makes a new one.';
  if (text === '') throw unusable(path, 'is empty.', fix);
  const token = new SecretValue(text);
  if (!isSendable(token)) {
    throw unusable(path, 'holds something that no HTTP header can carry as one word.', fix);
  }
  if (text.length < MIN_LENGTH) throw unusable(path, `holds fewer than ${MIN_LENGTH} characters.`, fix);
  return token;
}

function unusable(path: string, what: string, fix: string, cause?: unknown): TappetError {
  return new TappetError('DATA_FOLDER_UNUSABLE', `The token file ${path} ${what}`, { path, fix }, cause);
}

/** One token, one principal: `admin`, who may do everything. */
export class TokenAuth implements Auth {
  readonly #matches: (given: string) => boolean;
  readonly #admin: Principal = { name: 'admin', permissions: new Set(PERMISSIONS) };

  constructor(token: SecretValue) {
    // An empty token would let in every caller that sends an empty one.
    if (token.reveal() === '') throw new TypeError('the API token is empty');
    this.#matches = secretComparer(token);
  }

  async authenticate(headers: Headers): Promise<Principal | undefined> {
    const given = bearerCredentials(headers);
    return given !== undefined && this.#matches(given) ? this.#admin : undefined;
  }
}
