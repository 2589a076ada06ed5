import type { DefinitionKey, DefinitionRow } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { forgetJob } from './notifications.ts';
import { toDefinition } from './rows.ts';
import type { DefinitionRowRow } from './rows.ts';
import { limitChanged } from './turns.ts';

/** In the order of `definitions`. */
export function syncDefinitions(tx: Tx, definitions: readonly DefinitionKey[]): DefinitionRow[] {
  const keys = new Set(definitions.map(({ kind, name }) => `${kind}/${name}`));
  const present = tx.db.all<DefinitionRowRow>('SELECT * FROM definitions WHERE delete_time IS NULL');
  for (const { kind, name } of present) {
    if (keys.has(`${kind}/${name}`)) continue;
    tx.db.run('UPDATE definitions SET delete_time = ? WHERE kind = ? AND name = ?', tx.now, kind, name);
    if (kind === 'job') forgetJob(tx, name);
  }
  return definitions.map((definition) => syncOne(tx, definition));
}

function syncOne(tx: Tx, definition: DefinitionKey): DefinitionRow {
  const { kind, name, etag, maxConcurrentExecutions } = definition;
  const limit = maxConcurrentExecutions ?? null;
  const known = tx.db.get<DefinitionRowRow>(
    'SELECT * FROM definitions WHERE kind = ? AND name = ?',
    kind,
    name,
  );
  const isSame = known?.etag === etag && known.max_concurrent === limit && known.delete_time === null;
  if (isSame) return toDefinition(known);
  const row: DefinitionRowRow = {
    kind,
    name,
    etag,
    uid: known?.uid ?? tx.ids.uid(),
    generation: nextGeneration(known, etag),
    creator: known?.creator ?? 'config',
    create_time: known?.create_time ?? tx.now,
    update_time: tx.now,
    delete_time: null,
    max_concurrent: limit,
  };
  save(tx, row);
  if (kind === 'job' && !definition.tellsOfFailures) forgetJob(tx, name);
  if ((known?.max_concurrent ?? null) !== limit) limitChanged(tx, name, limit);
  return toDefinition(row);
}

function save(tx: Tx, row: DefinitionRowRow): void {
  tx.db.run(
    `INSERT OR REPLACE INTO definitions
     (kind, name, etag, uid, generation, creator, create_time, update_time, max_concurrent)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.kind,
    row.name,
    row.etag,
    row.uid,
    row.generation,
    row.creator,
    row.create_time,
    row.update_time,
    row.max_concurrent,
  );
  tx.memo.forget();
}

function nextGeneration(known: DefinitionRowRow | undefined, etag: string): number {
  if (known === undefined) return 1;
  return known.etag === etag ? known.generation : known.generation + 1;
}
