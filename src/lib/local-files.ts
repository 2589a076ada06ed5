import { constants, type BigIntStats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { formatNanos } from './nanos.ts';

interface Identity {
  readonly path: string;
  readonly ino: string;
  readonly size: number;
  readonly mtime: string;
}
interface File {
  readonly size: number;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Large enough that a disk is not asked for every little piece, small enough for many files at once. */
const CHUNK_BYTES = 256 * 1024;
/** A name that has become a pipe or a link must neither block the open nor lead elsewhere. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Files of this machine, in the shape of the port `LocalFiles`. */
export class SystemFiles {
  async open(identity: Identity): Promise<File | 'gone' | 'changed'> {
    const found = await openSame(identity);
    if (typeof found === 'string') return found;
    // Opened anew by the reader: an open file would stay open where nobody reads it.
    await found.close();
    return { size: identity.size, body: read(identity) };
  }
}

async function openSame(identity: Identity): Promise<FileHandle | 'gone' | 'changed'> {
  const file = await tryOpen(identity.path);
  if (typeof file === 'string') return file;
  let same = false;
  try {
    same = isSame(await file.stat({ bigint: true }), identity);
  } finally {
    if (!same) await file.close();
  }
  return same ? file : 'changed';
}

async function tryOpen(path: string): Promise<FileHandle | 'gone' | 'changed'> {
  try {
    return await open(path, FLAGS);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'gone';
    // A link, or a socket or a pipe without the other end: not the file that it was.
    if (code === 'ELOOP' || code === 'ENXIO') return 'changed';
    throw error;
  }
}

function isSame(stat: BigIntStats, { ino, size, mtime }: Identity): boolean {
  return (
    stat.isFile() &&
    stat.ino.toString() === ino &&
    stat.size === BigInt(size) &&
    formatNanos(stat.mtimeNs) === mtime
  );
}

async function* read(identity: Identity): AsyncGenerator<Uint8Array> {
  const file = await openSame(identity);
  if (typeof file === 'string') throw changed(identity, file === 'gone' ? 'is gone' : 'was changed');
  try {
    let left = identity.size;
    while (left > 0) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(left, CHUNK_BYTES)));
      if (bytesRead === 0) throw changed(identity, 'was cut short');
      left -= bytesRead;
      // The last piece is given out only when all of them are known to be of the one file.
      if (left === 0 && !isSame(await file.stat({ bigint: true }), identity))
        throw changed(identity, 'was changed');
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

function changed({ path }: Identity, what: string): Error {
  return new Error(`${path} ${what} while it was read`);
}
