import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isMissing, wholeBytes } from './segments.ts';

/** A file of a log that is not known to be durable. */
export interface Unsynced {
  /** What counts of it: the rest is torn. One that was cut meanwhile, to make room, is shorter. */
  readonly bytes: number;
  /** A sync of it has failed. */
  readonly doubtful: boolean;
}

/**
 * Makes a file durable. After a sync that failed nobody knows what the disk has, and another would say that all is well, as
 * the kernel takes the pages for written: then what can still be read of it goes into a new file, which takes its place.
 * One that is gone (to make room) is no error. Errors: what the file system says; an Error where it is no longer whole.
 */
export async function makeDurable(path: string, { bytes, doubtful }: Unsynced): Promise<void> {
  try {
    if (doubtful) await writeAnew(path, bytes);
    else await withFile(path, 'r', (file) => file.sync());
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

async function writeAnew(path: string, bytes: number): Promise<void> {
  const content = (await readFile(path)).subarray(0, bytes);
  if (wholeBytes(content) < content.length) throw new Error('what the disk refused cannot be read again');
  // Not the name of a segment: what a crash leaves of it is read by nobody, and goes with the folder.
  const anew = `${path}.anew`;
  await withFile(anew, 'w', async (file) => {
    await file.writeFile(content);
    await file.sync();
  });
  await rename(anew, path);
  await withFile(dirname(path), 'r', (dir) => dir.sync());
}

/** A new file's name is durable only when its folders are: the attempt's, the execution's, and the one of all. */
export async function syncDirs(dir: string): Promise<void> {
  for (const path of [dir, dirname(dir), dirname(dirname(dir))])
    await withFile(path, 'r', (handle) => handle.sync());
}

type Handle = Awaited<ReturnType<typeof open>>;

async function withFile(path: string, flags: 'r' | 'w', use: (file: Handle) => Promise<void>): Promise<void> {
  const file = await open(path, flags, 0o600);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}
