import type { ImagePulled, ImagesInUse, UnusedImage } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { requireEpoch } from './engines.ts';

/** A start writes an image's last use so seldom: pruning counts in days. */
const USE_GRAIN_MS = 60 * 60_000;

/** What an attempt of `engine` was started with: the execution's for ever, if it is the first. */
export interface StartedImage {
  readonly execution: number;
  readonly engine: string;
  readonly digest: string;
  readonly repoDigest: string | null;
}

export function imageStarted(tx: Tx, { execution, engine, digest, repoDigest }: StartedImage): void {
  // The registry's digest may be learned later: an adopted container tells the engine's alone.
  tx.db.run(
    `UPDATE executions SET image_digest = ?, image_repo_digest = ?, update_time = ?, version = version + 1
     WHERE seq = ? AND (image_digest IS NULL OR (image_digest = ? AND image_repo_digest IS NULL AND ? IS NOT NULL))`,
    digest,
    repoDigest,
    tx.now,
    execution,
    digest,
    repoDigest,
  );
  tx.db.run(
    'UPDATE pulled_images SET use_time = ? WHERE engine = ? AND digest = ? AND use_time < ?',
    tx.now,
    engine,
    digest,
    tx.now - USE_GRAIN_MS,
  );
}

export function imagePulled(tx: Tx, { engine, epoch, digest, name }: ImagePulled): void {
  requireEpoch(tx, engine, epoch);
  tx.db.run(
    `INSERT INTO pulled_images (engine, digest, name, use_time) VALUES (?, ?, ?, ?)
     ON CONFLICT (engine, digest) DO UPDATE SET name = excluded.name, use_time = excluded.use_time`,
    engine,
    digest,
    name,
    tx.now,
  );
}

export function unusedImages(tx: Tx, engine: string, unusedForMs: number, limit: number): UnusedImage[] {
  return tx.db.all<UnusedImage>(
    'SELECT digest, name FROM pulled_images WHERE engine = ? AND use_time <= ? ORDER BY use_time LIMIT ?+0',
    engine,
    tx.now - unusedForMs,
    limit,
  );
}

interface OpenRow {
  readonly seq: number;
  readonly name: string;
  readonly digest: string | null;
}

/** First those that wait, then those that run, so that one which starts meanwhile is not missed: a cursor is a state and a row. */
export function imagesInUse(tx: Tx, after: string | null, limit: number): ImagesInUse {
  const [state, seq] = (after ?? 'PENDING:0').split(':');
  const rows = tx.db.all<OpenRow>(
    `SELECT e.seq, s.spec ->> '$.image' AS name, e.image_digest AS digest
     FROM executions e JOIN execution_specs s ON s.execution = e.seq
     WHERE e.state = ? AND e.seq > ? ORDER BY e.seq LIMIT ?+0`,
    state ?? '',
    Number(seq),
    limit,
  );
  const last = rows.at(-1);
  const more = last !== undefined && rows.length === limit ? `${state}:${last.seq}` : null;
  const next = more ?? (state === 'PENDING' ? 'RUNNING:0' : null);
  return { images: rows.map(({ name, digest }) => ({ name, digest })), next };
}

export function imageUsed(tx: Tx, engine: string, digest: string): void {
  tx.db.run('UPDATE pulled_images SET use_time = ? WHERE engine = ? AND digest = ?', tx.now, engine, digest);
}

export function imageRemoved(tx: Tx, engine: string, digest: string): void {
  tx.db.run('DELETE FROM pulled_images WHERE engine = ? AND digest = ?', engine, digest);
}
