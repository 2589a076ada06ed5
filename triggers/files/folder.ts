import { isUtf8 } from 'node:buffer';
import { constants, type BigIntStats, type Dirent } from 'node:fs';
import { access, lstat, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText, TappetError } from '../../src/core/errors.ts';
import type { FileStat } from './event.ts';
import type { FileFilter } from './glob.ts';

/** `refused`: there, but nothing that an event could tell of, or not readable; `refuse` has been told why. */
export type Look =
  | { readonly kind: 'file'; readonly stat: FileStat }
  | { readonly kind: 'gone' }
  | { readonly kind: 'refused' };

export interface FoundFile {
  readonly path: string;
  readonly stat: FileStat;
}

/** Which folder stands at the path: after a mount, an unmount or a replacement it is another. */
export interface FolderIdentity {
  readonly dev: string;
  readonly ino: string;
}

/** Told of what is passed over: the path as a person reads it, and why, to be read after it. */
export type Refuse = (shown: string, why: string) => void;

/** `lstat` calls on their way at a time: more do not get faster, four threads serve them. */
const BATCH = 256;

/** The watched folder on the disk. Paths are relative to it, with `/`. No symbolic link below it is followed. */
export class Folder {
  readonly #root: string;
  readonly #filter: FileFilter;
  readonly #refuse: Refuse;
  #tellsBirth = false;

  constructor(root: string, filter: FileFilter, refuse: Refuse) {
    this.#root = root;
    this.#filter = filter;
    this.#refuse = refuse;
  }

  /** Errors: NOT_FOUND, where there is no such folder or it cannot be read. */
  async identity(): Promise<FolderIdentity> {
    try {
      const found = await stat(this.#root, { bigint: true });
      if (!found.isDirectory())
        throw new TappetError('NOT_FOUND', `${this.#root} is not a folder: correct "path" of the trigger.`);
      this.#birthOf(found);
      await access(this.#root, constants.R_OK | constants.X_OK);
      return { dev: `${found.dev}`, ino: `${found.ino}` };
    } catch (error) {
      throw error instanceof TappetError ? error : noFolder(this.#root, error);
    }
  }

  /** One file, now. */
  async look(path: string): Promise<Look> {
    const slash = path.lastIndexOf('/');
    const straight = slash < 0 || (await this.#isStraight(path.slice(0, slash), await realpath(this.#root)));
    return straight ? this.#stat(path) : { kind: 'gone' };
  }

  /**
   * The matching files below `from`, in the order of their paths' UTF-8 bytes, as the ledger's rows are. Holds the
   * names of one folder per level, and the files of one batch. What vanishes meanwhile is left out.
   * Errors: the system's, where the watched folder itself cannot be read.
   */
  async *walk(from = ''): AsyncGenerator<readonly FoundFile[]> {
    const real = await realpath(this.#root);
    const open = [await this.#list(from, real)];
    let names: string[] = [];
    for (let level = open.at(-1); level !== undefined; level = open.at(-1)) {
      const entry = level.pop();
      if (entry === undefined) open.pop();
      else if (entry.folder) open.push(await this.#list(entry.path, real));
      else if (names.push(entry.path) === BATCH) {
        yield await this.#stats(names);
        names = [];
      }
    }
    yield await this.#stats(names);
  }

  async #stats(paths: readonly string[]): Promise<FoundFile[]> {
    const looks = await Promise.all(paths.map((path) => this.#stat(path)));
    return looks.flatMap((look, i) =>
      look.kind === 'file' ? [{ path: paths[i] ?? '', stat: look.stat }] : [],
    );
  }

  async #stat(path: string): Promise<Look> {
    try {
      const found = await lstat(join(this.#root, path), { bigint: true });
      if (!found.isFile()) {
        // A folder of a name that matches is no surprise to anyone.
        if (!found.isDirectory()) this.#refuse(JSON.stringify(path), whyNot(found));
        return { kind: 'refused' };
      }
      const { ino, size, mtimeNs, ctimeNs } = found;
      const bornNs = this.#birthOf(found);
      return { kind: 'file', stat: { ino: `${ino}`, size: Number(size), mtimeNs, ctimeNs, bornNs } };
    } catch (error) {
      if (isAbsent(error)) return { kind: 'gone' };
      this.#refuse(JSON.stringify(path), `cannot be looked at: ${errorText(error)}`);
      return { kind: 'refused' };
    }
  }

  /**
   * Where the kernel tells no birth, Node gives the ctime in its place (or 0): a file whose two differ proves that it
   * does, for all.
   */
  #birthOf({ birthtimeNs, ctimeNs }: Pick<BigIntStats, 'birthtimeNs' | 'ctimeNs'>): bigint | undefined {
    if (birthtimeNs === 0n) return undefined;
    if (birthtimeNs !== ctimeNs) this.#tellsBirth = true;
    return this.#tellsBirth ? birthtimeNs : undefined;
  }

  /** What is of interest in a folder, last first: it is taken from the end. */
  async #list(folder: string, real: string): Promise<Entry[]> {
    try {
      if (!(await this.#isStraight(folder, real))) return [];
      const entries = await readdir(join(this.#root, folder), { withFileTypes: true, encoding: 'buffer' });
      return entries
        .flatMap((entry) => this.#entry(folder, entry))
        .toSorted((a, b) => Buffer.compare(b.order, a.order));
    } catch (error) {
      if (folder === '') throw error;
      if (!isAbsent(error))
        this.#refuse(
          JSON.stringify(folder),
          `cannot be read, so that nothing below it is seen: ${errorText(error)}`,
        );
      return [];
    }
  }

  #entry(folder: string, entry: Dirent<Buffer>): Entry[] {
    const text = entry.name.toString('utf8');
    const path = folder === '' ? text : `${folder}/${text}`;
    const isFolder = entry.isDirectory();
    // A link may stand for a folder as well as for a file.
    const wanted =
      (!isFolder && this.#filter.matches(path)) ||
      ((isFolder || entry.isSymbolicLink()) && this.#filter.mayHold(path));
    if (!wanted) return [];
    if (!isUtf8(entry.name)) {
      const shown = `"${folder === '' ? '' : `${folder}/`}${escapeBytes(entry.name)}"`;
      this.#refuse(shown, 'has a name that is not UTF-8, which no event can tell: rename it');
      return [];
    }
    if (!isFolder && !entry.isFile()) {
      this.#refuse(JSON.stringify(path), whyNot(entry));
      return [];
    }
    // As if the slash of the files below stood there already: only so are whole paths in order.
    const order = isFolder ? Buffer.concat([entry.name, SLASH]) : entry.name;
    return [{ path, folder: isFolder, order }];
  }

  /** Whether no part of the way to it is a symbolic link: one may have been put there since it was listed. */
  async #isStraight(folder: string, real: string): Promise<boolean> {
    try {
      return folder === '' || (await realpath(join(this.#root, folder))) === join(real, folder);
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }
}

interface Entry {
  readonly path: string;
  readonly folder: boolean;
  readonly order: Buffer;
}
const SLASH = Buffer.from('/');

type Kind = Pick<Dirent, 'isSymbolicLink' | 'isFIFO' | 'isSocket'>;

function whyNot(entry: Kind): string {
  if (entry.isSymbolicLink())
    return 'is a symbolic link; links are never followed, as they may lead out of the folder: put the file itself there';
  const what = entry.isFIFO() ? 'a named pipe' : entry.isSocket() ? 'a socket' : 'a device';
  return `is ${what}; only regular files start anything`;
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

function noFolder(root: string, error: unknown): TappetError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT')
    return new TappetError(
      'NOT_FOUND',
      `There is no folder ${root}: make it or mount it, or correct "path".`,
      {},
      error,
    );
  const why =
    code === 'EACCES' ? "the gateway's user may not read it: change its mode or owner" : errorText(error);
  return new TappetError('NOT_FOUND', `The folder ${root} cannot be watched: ${why}.`, {}, error);
}

/** `caf\xe9.csv`: every byte that is not plain ASCII by its value. */
function escapeBytes(name: Uint8Array): string {
  return Array.from(name, (byte) =>
    byte > 0x1f && byte < 0x7f && byte !== 0x5c
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, '0')}`,
  ).join('');
}
