import { closeSync, openSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { TappetError, errorText } from '../../core/errors.ts';
import { isBusy } from './db.ts';
import type { Connection, OpenConnection } from './driver.ts';
import { MEMORY } from './session.ts';

/** A file name ends at 255 bytes on every common file system. */
const MAX_NAME = 120;

/**
 * Proof that an owner lives: `<database>.owner-<name>`, an empty SQLite file with an exclusive transaction open.
 * The kernel ends its lock with the process, however that ends. Node has no file locks of its own; SQLite's also
 * know of other connections in the same process, and never close a descriptor that would drop them.
 * A database in memory has no such file: there only the lease speaks.
 */
export class OwnerLocks {
  readonly #base: string | null;
  readonly #connect: OpenConnection;
  readonly #held = new Map<string, Connection>();

  constructor(path: string, connect: OpenConnection) {
    this.#base = path === MEMORY ? null : path;
    this.#connect = connect;
  }

  /**
   * Takes the lock of `owner` for the life of this store. false: someone has it, perhaps only to look.
   * Errors: INVALID_ARGUMENT, STORE_UNAVAILABLE.
   */
  take(owner: string): boolean {
    if (this.#base === null || this.#held.has(owner)) return true;
    const path = lockPath(this.#base, owner);
    const lock = this.#lock(path);
    if (lock === undefined) return false;
    this.#held.set(owner, lock);
    return true;
  }

  /** True where no living store can have the name; its file is removed. Never of a name that this store holds. */
  isDead(owner: string): boolean {
    if (this.#base === null || this.#held.has(owner)) return false;
    return this.#sweepFile(lockPath(this.#base, owner));
  }

  /** Removes what dead owners left. */
  sweep(): void {
    if (this.#base === null) return;
    const prefix = `${basename(this.#base)}.owner-`;
    const held = new Set([...this.#held.keys()].map((owner) => `${prefix}${encodeURIComponent(owner)}`));
    for (const name of readdirSync(dirname(this.#base))) {
      const path = join(dirname(this.#base), name);
      // Ours are empty; anything else of such a name is somebody's file.
      const ours = name.startsWith(prefix) && statSync(path, { throwIfNoEntry: false })?.size === 0;
      if (ours && !held.has(name)) this.#sweepFile(path);
    }
  }

  releaseAll(): void {
    for (const [owner, lock] of this.#held) {
      // Removed while it is still held: nobody else can have taken this file in between.
      if (this.#base !== null) rmSync(lockPath(this.#base, owner), { force: true });
      lock.close();
    }
    this.#held.clear();
  }

  #sweepFile(path: string): boolean {
    if (inode(path) === undefined) return true;
    const lock = this.#lock(path);
    if (lock === undefined) return false;
    rmSync(path, { force: true });
    lock.close();
    return true;
  }

  /** undefined: it is held, or was removed by a sweep between our opening and our locking. */
  #lock(path: string): Connection | undefined {
    let connection: Connection | undefined;
    try {
      createIfAbsent(path);
      const before = inode(path);
      connection = this.#connect(path);
      // The journal in memory: on disk it would be a second file, left behind by whoever is killed.
      connection.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
      if (before !== undefined && before === inode(path)) return connection;
      connection.close();
      return undefined;
    } catch (error) {
      connection?.close();
      if (isBusy(error)) return undefined;
      throw new TappetError(
        'STORE_UNAVAILABLE',
        `The lock file ${path} cannot be used: ${errorText(error)}.`,
        { path, retryAfter: 5 },
        error,
      );
    }
  }
}

function lockPath(base: string, owner: string): string {
  const name = encodeURIComponent(owner);
  if (name === '' || name.length > MAX_NAME) {
    throw new TappetError('INVALID_ARGUMENT', `An owner's name has 1 to ${MAX_NAME} characters.`, {
      path: 'owner',
    });
  }
  return `${base}.owner-${name}`;
}

function inode(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** Exclusive creation: closing a descriptor of a file that exists would drop a lock that this process has on it. */
function createIfAbsent(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
