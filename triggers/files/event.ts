import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { NewEvent } from '../../src/core/event.ts';
import type { Json } from '../../src/core/json.ts';
import type { ManualEvent } from '../../src/core/source.ts';
import { formatNanos } from '../../src/lib/nanos.ts';

/**
 * Named as the product's other own events are. Not `created` or `modified`, the words of file systems: those come at
 * the first byte, this one when the writer has done with it; nor `finalized`, as of objects: a file can be appended to.
 */
export const SETTLED_TYPE = 'dev.tappet.files.v1.settled';

/** A regular file as one look at it found it. */
export interface FileStat {
  readonly ino: string;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since the epoch. */
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  /** When the inode was made, nanoseconds; undefined where the system does not tell. */
  readonly bornNs: bigint | undefined;
}

/**
 * The event of a settled file. Its id follows from path, inode, size, mtime and ctime. ctime is in it so that a file
 * which was taken away and put back with its old mtime (tar, rsync -t, cp -p: often on the same inode too) is a new
 * event: its ledger row is gone or tells it by its birth, and only the identity would still refuse it.
 */
export function settledEvent(root: string, name: string, stat: FileStat, now: number): NewEvent {
  const { ino, size, mtimeNs, ctimeNs } = stat;
  const identity = JSON.stringify([name, ino, size, `${mtimeNs}`, `${ctimeNs}`]);
  return {
    event: {
      specversion: '1.0',
      id: createHash('sha256').update(identity).digest('hex').slice(0, 32),
      source: folderSource(root),
      type: SETTLED_TYPE,
      // When it was found to be finished: an mtime may be anything, also no date at all.
      time: new Date(now).toISOString(),
      subject: name,
      datacontenttype: 'application/json',
      data: { path: join(root, name), name, root, size, mtime: formatNanos(mtimeNs), ino },
    },
  };
}

/** A file that a person names by hand: `{ "name": "in/a.csv" }`; what is not given is not there. */
export function manualEvent(root: string, data: Json | undefined): ManualEvent {
  const given = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : undefined;
  const name = given?.['name'];
  const path = typeof name === 'string' ? { path: join(root, name) } : {};
  return {
    type: SETTLED_TYPE,
    source: folderSource(root),
    data: data !== undefined && given === undefined ? data : { root, ...path, ...given },
  };
}

function folderSource(root: string): string {
  return pathToFileURL(root).href;
}
