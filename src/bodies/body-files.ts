import { lstat, mkdir, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Bodies, BodyLimits, BodyReader, BodySource, PinnedBody, ReceivedBody } from '../core/bodies.ts';
import type { Clock } from '../core/clock.ts';
import { isTappetError } from '../core/errors.ts';
import type { TappetError } from '../core/errors.ts';
import type { LocalFile } from '../core/local-files.ts';
import type { WriteWatch } from '../core/write-watch.ts';
import { SystemFiles } from '../lib/local-files.ts';
import { formatNanos } from '../lib/nanos.ts';
import { Semaphore } from '../lib/semaphore.ts';
import { hasCode } from '../lib/has-code.ts';
import { syncFolder } from '../lib/sync-folder.ts';
import { bodyUnavailable, brokenOff, busy, doesNotFit, noRoom, tooLarge } from './body-errors.ts';
import { PART, writeBody } from './write-body.ts';

/** Each has a file open, and a piece of it in memory. */
const MAX_AT_ONCE = 64;
/**
 * A sync keeps one of the system's few threads busy as long as the disk takes for it, and the database waits for one of
 * those with each commit.
 */
const SYNCS_AT_ONCE = 2;
/**
 * A file that no event has, and that nobody has touched for so long, was left behind: what moves is written to at least
 * each 30 s, and what is whole has its event within seconds. Another gateway on the same folder may be at it, so a
 * file is not judged by this process alone.
 */
export const ORPHAN_MS = 10 * 60_000;
/** The store is asked once for so many files. */
const SWEPT_AT_ONCE = 500;
/** Left free for everything else that the data folder is for: of a small disk a twentieth. */
const RESERVE_BYTES = 256 * 1024 * 1024;
const RESERVE_PART = 0.05;
const OURS = /^([0-9A-Za-z-]{1,64})(\.part)?$/;

export interface BodyFilesOptions {
  /** `<data>/bodies` */
  readonly dir: string;
  readonly clock: Clock;
  readonly watch?: WriteWatch;
  /** In place of the system's, for tests. */
  readonly disk?: Disk;
}
export interface Disk {
  /** Bytes that may be written yet, and all that there are. */
  space(dir: string): Promise<{ readonly free: number; readonly all: number }>;
}

export interface SweepParams {
  /** Those of these uids of which an event is stored; asked for a page of files at a time. */
  whichEventsExist(uids: readonly string[]): Promise<ReadonlySet<string>>;
  readonly signal?: AbortSignal;
}

interface OldFile {
  readonly name: string;
  readonly uid: string;
  /** It never became whole. */
  readonly part: boolean;
}

/**
 * Bodies of calls as files in a folder of their own, each named by the uid of its event. There is no other record of
 * them: a body lives exactly as long as the event of its name, so that nothing can point to the wrong one.
 *
 * | state   | on disk      | goes on                                                                              |
 * |---------|--------------|--------------------------------------------------------------------------------------|
 * | none    | –            | → writing: `receive`                                                                 |
 * | writing | `<uid>.part` | → whole: all of it is there and synced; → none: broke off, too large, the disk fails |
 * | whole   | `<uid>`      | → kept: its event is committed; → none: refused, or a duplicate                      |
 * | kept    | `<uid>`      | → none: by a sweep, after its event was pruned                                       |
 *
 * | a crash                             | leaves                     | then                                              |
 * |-------------------------------------|----------------------------|---------------------------------------------------|
 * | before the file is made             | nothing                    | the sender sends again                            |
 * | in the middle, or before the rename | `<uid>.part`               | a sweep removes it; the sender sends again        |
 * | after the rename, before the commit | `<uid>` without an event   | the same                                          |
 * | after the commit, before the answer | event and file             | sent again: a duplicate, whose own file is removed |
 * | after a duplicate was found         | its `<uid>`, without event | a sweep removes it                                |
 * | rows of an event pruned, file not   | `<uid>` without an event   | a sweep removes it                                |
 *
 * So an event that was acknowledged has its whole body: the file is synced before the event is asked to be stored.
 */
export class BodyFiles implements Bodies, BodyReader {
  readonly #options: BodyFilesOptions;
  readonly #disk: Disk;
  readonly #files = new SystemFiles();
  /** Writing, or whole and not yet kept or dropped, by this process. */
  readonly #held = new Set<string>();
  readonly #syncs = new Semaphore(SYNCS_AT_ONCE);
  #writing = 0;
  /** Bytes that were announced by those, and are not on the disk yet. */
  #promised = 0;
  #folder: Promise<void> | undefined;

  constructor(options: BodyFilesOptions) {
    this.#options = options;
    this.#disk = options.disk ?? { space: spaceOf };
  }

  async receive(
    uid: string,
    source: BodySource,
    { maxBytes, announcedBytes }: BodyLimits,
  ): Promise<ReceivedBody> {
    if ((announcedBytes ?? 0) > maxBytes) throw tooLarge(maxBytes);
    if (this.#writing >= MAX_AT_ONCE) throw busy(`${MAX_AT_ONCE} bodies`);
    this.#writing += 1;
    this.#held.add(uid);
    let promised = 0;
    const fulfil = (bytes: number): void => {
      promised -= bytes;
      this.#promised -= bytes;
    };
    try {
      await this.#requireFolder();
      await this.#takeRoom(announcedBytes ?? 0);
      promised = announcedBytes ?? 0;
      const written = await writeBody({
        path: this.#path(uid),
        source,
        maxBytes,
        clock: this.#options.clock,
        requireRoom: () => this.#takeRoom(0),
        onBytes: (bytes) => fulfil(Math.min(bytes, promised)),
        sync: (work) => this.#syncs.run(work),
      });
      // Of a sender that went away before it was asked for its body, node makes an empty one.
      if (announcedBytes !== undefined && written.size !== announcedBytes)
        throw brokenOff(new Error(`${written.size} of ${announcedBytes} bytes came`));
      this.#options.watch?.worked();
      return {
        ...written,
        keep: () => void this.#held.delete(uid),
        drop: () => this.#drop(uid),
      };
    } catch (error) {
      // Somebody may have removed it.
      this.#folder = undefined;
      await this.#drop(uid);
      throw isTappetError(error) ? error : this.#failed(bodyUnavailable(error));
    } finally {
      fulfil(promised);
      this.#writing -= 1;
    }
  }

  async openBody({ event, size }: PinnedBody): Promise<LocalFile | 'gone' | 'changed'> {
    // A name from a stored row: it is put into a path.
    if (!OURS.test(event)) return 'gone';
    const path = this.#path(event);
    try {
      const stat = await lstat(path, { bigint: true });
      if (stat.size !== BigInt(size)) return 'changed';
      return await this.#files.open({
        path,
        ino: stat.ino.toString(),
        size,
        mtime: formatNanos(stat.mtimeNs),
      });
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return 'gone';
      throw error;
    }
  }

  /**
   * Removes what no event has, and gives how many files that were. Errors: those of `whichEventsExist`; the system's own, after
   * all others were looked at.
   */
  async sweep(params: SweepParams): Promise<number> {
    let removed = 0;
    const failed: unknown[] = [];
    const names = await this.#names();
    const stopped = (): boolean => params.signal?.aborted === true;
    for (let at = 0; at < names.length && !stopped(); at += SWEPT_AT_ONCE) {
      const old = await this.#old(names.slice(at, at + SWEPT_AT_ONCE), failed);
      const whole = old.filter(({ part }) => !part).map(({ uid }) => uid);
      const kept = whole.length === 0 ? new Set() : await params.whichEventsExist(whole);
      for (const { name, uid, part } of old) {
        if (stopped()) break;
        if (!part && kept.has(uid)) continue;
        try {
          await rm(join(this.#options.dir, name), { force: true });
          removed += 1;
        } catch (error) {
          failed.push(error);
        }
      }
    }
    if (failed.length > 0) throw failed[0];
    return removed;
  }

  /** Tries to write. Errors: STORE_UNAVAILABLE. */
  async probe(): Promise<void> {
    const path = join(this.#options.dir, '.probe');
    try {
      await this.#makeFolder();
      await this.#room();
      await writeFile(path, new Uint8Array(1), { mode: 0o600 });
      await rm(path, { force: true });
    } catch (error) {
      throw isTappetError(error) ? error : bodyUnavailable(error);
    }
  }

  /** Files of bodies that nobody has written to for a while. What cannot be looked at is added to `failed`. */
  async #old(names: readonly string[], failed: unknown[]): Promise<OldFile[]> {
    const old: OldFile[] = [];
    for (const name of names) {
      const [, uid, part] = OURS.exec(name) ?? [];
      // Anything else is somebody's file.
      if (uid === undefined || this.#held.has(uid)) continue;
      try {
        const stat = await lstat(join(this.#options.dir, name)).catch(passMissing);
        if (stat?.isFile() !== true) continue;
        // Below zero: the clock was set back, maybe by years.
        if (Math.abs(this.#options.clock.now() - stat.mtimeMs) < ORPHAN_MS) continue;
        old.push({ name, uid, part: part !== undefined });
      } catch (error) {
        failed.push(error);
      }
    }
    return old;
  }

  async #names(): Promise<string[]> {
    return (await readdir(this.#options.dir).catch(passMissing)) ?? [];
  }

  async #drop(uid: string): Promise<void> {
    const path = this.#path(uid);
    try {
      await rm(path + PART, { force: true });
      await rm(path, { force: true });
    } catch {
      // A sweep finds it: there is no event of this name.
    }
    this.#held.delete(uid);
  }

  /** Once in a process, for all that come at the same time: none is whole before the name of the folder is. */
  #requireFolder(): Promise<void> {
    return (this.#folder ??= this.#makeFolder());
  }

  async #makeFolder(): Promise<void> {
    const { dir } = this.#options;
    // Synced also where it was there: an earlier process may have been killed in between.
    const first = await mkdir(dir, { recursive: true, mode: 0o700 });
    await syncFolder(dirname(first ?? dir));
  }

  /** Beside what was promised to others. Errors: STORE_UNAVAILABLE. */
  async #takeRoom(bytes: number): Promise<void> {
    if ((await this.#room()) < this.#promised + bytes) throw doesNotFit();
    this.#promised += bytes;
  }

  /** Bytes, beside the reserve. Errors: STORE_UNAVAILABLE where there is none. */
  async #room(): Promise<number> {
    const { free, all } = await this.#disk.space(this.#options.dir);
    const room = free - Math.min(RESERVE_BYTES, all * RESERVE_PART);
    if (room < 0) throw this.#failed(noRoom());
    return room;
  }

  /** What the disk did is told to whoever watches it; all else is between the sender and us. */
  #failed(error: TappetError): TappetError {
    this.#options.watch?.failed(error);
    return error;
  }

  #path(uid: string): string {
    return join(this.#options.dir, uid);
  }
}

async function spaceOf(dir: string): Promise<{ free: number; all: number }> {
  const { bavail, blocks, bsize } = await statfs(dir);
  return { free: bavail * bsize, all: blocks * bsize };
}

function passMissing(error: unknown): undefined {
  if (!hasCode(error, 'ENOENT')) throw error;
  return undefined;
}
