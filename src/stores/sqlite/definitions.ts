import type { DefinitionKey, DefinitionRow } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { toDefinition } from './rows.ts';
import type { DefinitionRowRow } from './rows.ts';

/** In the order of `definitions`. */
export function syncDefinitions(tx: Tx, definitions: readonly DefinitionKey[]): DefinitionRow[] {
  const keys = new Set(definitions.map(({ kind, name }) => `${kind}/${name}`));
  const present = tx.db.all<DefinitionRowRow>('SELECT * FROM definitions WHERE delete_time IS NULL');
  for (const { kind, name } of present) {
    if (keys.has(`${kind}/${name}`)) continue;
    tx.db.run('UPDATE definitions SET delete_time = ? WHERE kind = ? AND name = ?', tx.now, kind, name);
  }
  return definitions.map((definition) => syncOne(tx, definition));
}

function syncOne(tx: Tx, { kind, name, etag }: DefinitionKey): DefinitionRow {
  const known = tx.db.get<DefinitionRowRow>(
    'SELECT * FROM definitions WHERE kind = ? AND name = ?',
    kind,
    name,
  );
  if (known?.etag === etag && known.delete_time === null) return toDefinition(known);
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
  };
  tx.db.run(
    'INSERT OR REPLACE INTO definitions VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)',
    row.kind,
    row.name,
    row.etag,
    row.uid,
    row.generation,
    row.creator,
    row.create_time,
    row.update_time,
  );
  return toDefinition(row);
}

function nextGeneration(known: DefinitionRowRow | undefined, etag: string): number {
  if (known === undefined) return 1;
  return known.etag === etag ? known.generation : known.generation + 1;
}
