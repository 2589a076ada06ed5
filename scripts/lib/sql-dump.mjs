// @ts-check

/**
 * A database as SQL that makes it again, `user_version` included: a difference can be read in a review.
 * @param {import('better-sqlite3').Database} db
 */
export function dump(db) {
  const made = /** @type {{ type: string, name: string, sql: string }[]} */ (
    db.prepare('SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid').all()
  );
  const tables = made.filter(({ type }) => type === 'table');
  const lines = tables.flatMap(({ name, sql }) => [`${sql};`, ...rows(db, name)]);
  lines.push(...made.filter(({ type }) => type !== 'table').map(({ sql }) => `${sql};`));
  lines.push(`PRAGMA user_version = ${Number(db.pragma('user_version', { simple: true }))};`);
  return `BEGIN;\n${lines.join('\n')}\nCOMMIT;\n`;
}

/**
 * @param {import('better-sqlite3').Database} db
 * @param {string} table
 */
function rows(db, table) {
  return db
    .prepare(`SELECT * FROM ${table}`)
    .raw()
    .all()
    .map((row) => `INSERT INTO ${table} VALUES (${/** @type {unknown[]} */ (row).map(literal).join(', ')});`);
}

/** @param {unknown} value */
function literal(value) {
  if (value === null) return 'NULL';
  return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : JSON.stringify(value);
}
