import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText, TappetError } from '../core/errors.ts';
import { SecretValue } from '../core/secrets.ts';
import { suggest } from '../lib/nearest.ts';
import { quoted } from '../lib/shell-word.ts';
import { SECRET_NAME_PATTERN, SECRET_NAME_RULE } from '../lib/secret-name.ts';
import { hasCode } from '../lib/has-code.ts';
import { syncFolder } from '../lib/sync-folder.ts';
import { createDurably, makeFolder, ownerOf, replaceDurably, type Owner } from './durable-file.ts';
import { findKey, KEY_VARIABLE, newKeyText, type SecretKey } from './key.ts';
import {
  deletedVersion,
  fileName,
  openVersion,
  parseFileName,
  parseVersionFile,
  sealVersion,
  type Sealed,
  type VersionFile,
  type VersionName,
} from './version-file.ts';

/** A secret is a key or a password; as much as a file that is named in the configuration may hold. */
export const MAX_SECRET_BYTES = 64 * 1024;

export interface SecretStoreOptions {
  /** The gateway's data folder: `secrets/` and `secrets.key` are in it. */
  readonly dataDir: string;
  /** Where TAPPET_SECRETS_KEY may stand. */
  readonly env: Readonly<Record<string, string | undefined>>;
}
export interface SecretSummary {
  readonly name: string;
  readonly versions: readonly {
    readonly version: number;
    /** null: the file is damaged, so that nobody knows. */
    readonly createTime: string | null;
  }[];
}
export interface AddedSecret {
  readonly version: number;
  /** The path of the key file, where this call made it. */
  readonly madeKey?: string;
}

/**
 * Secrets in the data folder, for the gateway that reads and the command line that writes, at the same time. A file per
 * version, put in place whole: so there is no lock that a killed writer could leave, a reader never meets half of a
 * write, and of two writers each gets a number of its own. A reader looks anew each time.
 *
 * What a kill or a power cut after each step of `add` leaves, and what the next call makes of it:
 *
 * | after                    | left                          | next                                         |
 * |--------------------------|-------------------------------|----------------------------------------------|
 * | the folders              | an empty folder               | goes on                                      |
 * | a draft of the key       | a draft                       | makes a key; the draft goes after an hour    |
 * | the key                  | a key that sealed nothing     | uses it                                      |
 * | a draft of the version   | a draft                       | the same number again                        |
 * | the version's name       | the version, as a whole       | the next number                              |
 *
 * The key's name is on disk before a version's can be. `remove` writes over one version after the other, the oldest
 * first: a reader in between gets the newest until it is gone.
 */
export class SecretStore {
  readonly #dataDir: string;
  readonly #folder: string;
  readonly #keyPath: string;
  readonly #env: SecretStoreOptions['env'];

  constructor({ dataDir, env }: SecretStoreOptions) {
    this.#dataDir = dataDir;
    this.#folder = join(dataDir, 'secrets');
    this.#keyPath = join(dataDir, 'secrets.key');
    this.#env = env;
  }

  /** By name; what is deleted is left out. Needs no key. Errors: SECRET_UNREADABLE. */
  async list(): Promise<SecretSummary[]> {
    const found = new Map<string, { version: number; createTime: string | null }[]>();
    await this.#reading(async () => {
      for (const of of await this.#versions()) {
        const file = await this.#load(of);
        if (file.state === 'deleted') continue;
        const versions = found.get(of.name) ?? [];
        found.set(of.name, versions);
        versions.push({ version: of.version, createTime: file.state === 'stored' ? file.createTime : null });
      }
    });
    return [...found].map(([name, versions]) => ({ name, versions }));
  }

  /**
   * The value of this version, else of the newest that is there.
   * Errors: SECRET_UNREADABLE, where there is none, or it cannot be opened.
   */
  async read(name: string, version?: number): Promise<SecretValue> {
    return this.#reading(async () => {
      const { of, sealed } = await this.#find(name, version);
      const key = await findKey(this.#env, this.#keyPath);
      if (key === undefined) throw this.#keyMissing();
      if (key.id !== sealed.keyId) throw wrongKey(of, key);
      const value = openVersion(of, sealed, key);
      if (value === undefined) throw damaged(of);
      return new SecretValue(value);
    });
  }

  /**
   * Stores a value under the next number; makes the key at the first use. `createTime` is an ISO time.
   * Errors: INVALID_ARGUMENT for a name or a value that cannot be one; SECRET_UNREADABLE where the key is not the one
   * that what is stored was sealed with (nothing is written then); DATA_FOLDER_UNUSABLE.
   */
  async add(name: string, value: Uint8Array, createTime: string): Promise<AddedSecret> {
    checkName(name);
    checkValue(value);
    return this.#writing(async () => {
      await makeFolder(this.#dataDir);
      const owner = await ownerOf(this.#dataDir);
      await makeFolder(this.#folder, owner);
      const { key, made } = await this.#keyForWriting(owner);
      let version = ((await this.#versions(name)).at(-1)?.version ?? 0) + 1;
      for (; ; version += 1) {
        const of = { name, version };
        // Another writer may have taken the number; its version stays as it is.
        const text = sealVersion(of, value, createTime, key);
        if (await createDurably(this.#folder, this.#path(of), text, owner)) break;
      }
      return { version, ...(made ? { madeKey: this.#keyPath } : {}) };
    });
  }

  /** Deletes this version, or all; gives their numbers. `deleteTime` is an ISO time. Errors: NOT_FOUND, DATA_FOLDER_UNUSABLE. */
  async remove(name: string, version: number | undefined, deleteTime: string): Promise<number[]> {
    return this.#writing(async () => {
      const removed: number[] = [];
      for (const of of await this.#versions(name)) {
        if (version !== undefined && of.version !== version) continue;
        if ((await this.#load(of)).state === 'deleted') continue;
        const text = deletedVersion(deleteTime);
        await replaceDurably(this.#folder, this.#path(of), text, await ownerOf(this.#dataDir));
        removed.push(of.version);
      }
      if (removed.length > 0) return removed;
      const { message, fields } = await this.#unknown(name, version);
      throw new TappetError('NOT_FOUND', message, {
        ...fields,
        fix: '`tappet secrets list` shows what there is',
      });
    });
  }

  /** The stored version that a reader means. */
  async #find(name: string, version: number | undefined): Promise<{ of: VersionName; sealed: Sealed }> {
    // The newest first: mostly it is the only one that has to be read.
    for (const of of (await this.#versions(name)).reverse()) {
      if (version !== undefined && of.version !== version) continue;
      const file = await this.#load(of);
      if (file.state === 'damaged') throw damaged(of);
      if (file.state === 'stored') return { of, sealed: file.sealed };
    }
    throw await this.#unknown(name, version);
  }

  async #unknown(name: string, version: number | undefined): Promise<TappetError> {
    const secrets = await this.list();
    const versions = secrets.find((one) => one.name === name)?.versions.map((one) => one.version);
    const place = `in the data folder ${this.#dataDir}`;
    if (versions !== undefined) {
      const has = `${versions.length === 1 ? 'only' : 'but'} ${versions.join(', ')}`;
      return unreadable(
        `the secret "${name}" has no version ${version} ${place}, ${has}`,
        'name one of these, or none for the newest',
      );
    }
    const known = suggest(
      name,
      secrets.map((one) => one.name),
    );
    if (!SECRET_NAME_PATTERN.test(name)) {
      return unreadable(`"${name}" cannot be the name of a secret`, SECRET_NAME_RULE);
    }
    return unreadable(
      `there is no secret "${name}" ${place} (${known})`,
      `store it with: tappet secrets set ${name} --data-dir ${quoted(this.#dataDir)}`,
    );
  }

  /** The key that everything stored was sealed with; made where nothing is stored yet. */
  async #keyForWriting(owner: Owner | undefined): Promise<{ key: SecretKey; made: boolean }> {
    const stored = await this.#allStored();
    let key = await findKey(this.#env, this.#keyPath);
    let made = false;
    if (key === undefined) {
      if (stored.length > 0) throw this.#keyMissing();
      made = await createDurably(this.#folder, this.#keyPath, newKeyText(), owner);
      key = await findKey(this.#env, this.#keyPath);
      if (key === undefined) throw this.#keyMissing();
    }
    for (const { of, sealed } of stored) if (sealed.keyId !== key.id) throw wrongKey(of, key);
    // Whoever made the key may have been killed before its name was on disk: without it no version could be opened.
    await syncFolder(this.#dataDir);
    return { key, made };
  }

  async #allStored(): Promise<{ of: VersionName; sealed: Sealed }[]> {
    const stored: { of: VersionName; sealed: Sealed }[] = [];
    for (const of of await this.#versions()) {
      const file = await this.#load(of);
      if (file.state === 'stored') stored.push({ of, sealed: file.sealed });
    }
    return stored;
  }

  /** Of this name or of all, by name and ascending, deleted ones too. */
  async #versions(name?: string): Promise<VersionName[]> {
    const files = await readdir(this.#folder).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return [];
      throw error;
    });
    return files
      .flatMap((file) => parseFileName(file) ?? [])
      .filter((of) => name === undefined || of.name === name)
      .sort((a, b) => (a.name === b.name ? a.version - b.version : a.name < b.name ? -1 : 1));
  }

  async #load(of: VersionName): Promise<VersionFile> {
    return parseVersionFile(await readFile(this.#path(of), 'utf8'));
  }

  #path(of: VersionName): string {
    return join(this.#folder, fileName(of));
  }

  #keyMissing(): TappetError {
    return unreadable(
      `secrets are stored, but their key is not here: there is neither ${this.#keyPath} nor ${KEY_VARIABLE}`,
      `put the key back; where it is lost, delete the secrets with tappet secrets delete, and set them anew`,
    );
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof TappetError) throw error;
      throw unreadable(
        `the secrets in the data folder ${this.#dataDir} cannot be read: ${errorText(error)}`,
        'run `tappet secrets` and the gateway as the same user',
        error,
      );
    }
  }

  async #writing<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (error instanceof TappetError) throw error;
      throw new TappetError(
        'DATA_FOLDER_UNUSABLE',
        `the secrets in the data folder ${this.#dataDir} cannot be written: ${errorText(error)}`,
        { path: this.#dataDir, fix: 'run this as the user of the gateway, and check the free space' },
        error,
      );
    }
  }
}

function checkName(name: string): void {
  if (SECRET_NAME_PATTERN.test(name)) return;
  throw new TappetError('INVALID_ARGUMENT', `"${name}" cannot be the name of a secret`, {
    path: 'name',
    fix: SECRET_NAME_RULE,
  });
}

function checkValue(value: Uint8Array): void {
  const fault = faultOf(value);
  if (fault === undefined) return;
  const [what, fix] = fault;
  throw new TappetError('INVALID_ARGUMENT', `the value ${what}`, { path: 'value', fix });
}

function faultOf(value: Uint8Array): readonly [what: string, fix: string] | undefined {
  if (value.length === 0)
    return ['is empty', 'nothing would be protected by it; give it through standard input'];
  if (value.length > MAX_SECRET_BYTES) return ['is larger than 64 KiB', 'store the secret alone'];
  // Jobs and headers get it as text: other bytes would come out changed.
  if (!Buffer.from(value).equals(Buffer.from(Buffer.from(value).toString('utf8')))) {
    return ['is not text in UTF-8', 'store it as text, such as in base64'];
  }
  return undefined;
}

function wrongKey({ name, version }: VersionName, key: SecretKey): TappetError {
  return unreadable(
    `${key.place} is not the key that version ${version} of the secret "${name}" was stored with`,
    'put back the key that was used then; where it is lost, delete what was stored with it, and set it anew',
  );
}

function damaged({ name, version }: VersionName): TappetError {
  return unreadable(
    `version ${version} of the secret "${name}" is damaged: its file was changed, cut, or put there from elsewhere`,
    `restore it from a copy, or delete it and set it anew`,
  );
}

function unreadable(message: string, fix: string, cause?: unknown): TappetError {
  return new TappetError('SECRET_UNREADABLE', message, { fix }, cause);
}
