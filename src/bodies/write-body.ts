import { createHash } from 'node:crypto';
import { open, rename } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { BodySource } from '../core/bodies.ts';
import type { Clock } from '../core/clock.ts';
import { syncFolder } from '../lib/sync-folder.ts';
import { brokenOff, tooLarge } from './body-errors.ts';

/** At the end of the name of what is not whole yet. */
export const PART = '.part';
/**
 * So much is on its way to the disk at most: one sync of gigabytes at the end would hold up those of the database, and
 * the sender for minutes.
 */
const SYNC_BYTES = 8 * 1024 * 1024;
/** The room on the disk is looked at as often: so much beyond it each of 64 bodies may write meanwhile. */
const LOOK_BYTES = 2 * 1024 * 1024;

export interface WriteBodyParams {
  /** Of the whole file. */
  readonly path: string;
  readonly source: BodySource;
  readonly maxBytes: number;
  readonly clock: Clock;
  /** Errors: there is too little. */
  requireRoom(): Promise<void>;
  /** Hears of each piece that the file has. */
  onBytes(bytes: number): void;
  /** Runs what waits for the disk, when it is its turn. */
  sync(work: () => Promise<void>): Promise<void>;
}
export interface WrittenBody {
  readonly size: number;
  readonly sha256: string;
}

/** Resolves when the disk has the file under its name. Whatever goes wrong, the caller removes what is there. */
export async function writeBody(params: WriteBodyParams): Promise<WrittenBody> {
  const { path, clock } = params;
  const part = path + PART;
  const file = await open(part, 'wx', 0o600);
  let written: WrittenBody;
  try {
    written = await copy(file, params);
    // From here on its age counts anew: its event is still to be stored.
    const now = clock.now() / 1000;
    await file.utimes(now, now);
    await params.sync(() => file.sync());
  } finally {
    await file.close();
  }
  await rename(part, path);
  await params.sync(() => syncFolder(dirname(path)));
  return written;
}

async function copy(
  file: FileHandle,
  { source, maxBytes, ...params }: WriteBodyParams,
): Promise<WrittenBody> {
  const hash = createHash('sha256');
  let size = 0;
  let unsynced = 0;
  let unseen = 0;
  for await (const chunk of piecesOf(source.body)) {
    size += chunk.byteLength;
    if (size > maxBytes) throw tooLarge(maxBytes);
    hash.update(chunk);
    await writeAll(file, chunk);
    params.onBytes(chunk.byteLength);
    unsynced += chunk.byteLength;
    unseen += chunk.byteLength;
    if (unsynced >= SYNC_BYTES) {
      unsynced = 0;
      await params.sync(() => file.datasync());
    }
    if (unseen < LOOK_BYTES) continue;
    unseen = 0;
    await params.requireRoom();
  }
  return { size, sha256: hash.digest('hex') };
}

/** A disk with little room may take a piece in part. */
async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let at = 0;
  while (at < chunk.byteLength) at += (await file.write(chunk, at)).bytesWritten;
}

async function* piecesOf(source: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  if (source === null) return;
  const reader: ReadableStreamDefaultReader<Uint8Array> = source.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        ended = true;
        throw brokenOff(error);
      });
      ended = done;
      if (done) return;
      yield value;
    }
  } finally {
    // Not awaited: the sender may never end.
    if (!ended) reader.cancel().catch(() => undefined);
  }
}
