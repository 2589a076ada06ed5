import Sqlite from 'better-sqlite3';

/** What a gateway's database says of executions, read past the gateway. */
export interface AttemptRows {
  readonly executions: readonly Row[];
  readonly tasks: readonly Row[];
  readonly attempts: readonly AttemptRow[];
}
type Row = Readonly<Record<string, unknown>>;
export interface AttemptRow extends Row {
  readonly attempt: number;
  readonly state: string;
  readonly reason: string | null;
  readonly exit_code: number | null;
  readonly owner: string;
  readonly epoch: number;
}
export interface EngineRow {
  readonly owner: string | null;
  readonly epoch: number;
}

/** The rows of these executions, in the order of their names. */
export function attemptRows(path: string, executions: readonly string[]): AttemptRows {
  const names = JSON.stringify(executions);
  const seqs = 'SELECT seq FROM executions WHERE name IN (SELECT value FROM json_each(?))';
  return reading(path, (database) => ({
    executions: database
      .prepare<string, Row>(`SELECT * FROM executions WHERE seq IN (${seqs}) ORDER BY name`)
      .all(names),
    tasks: database
      .prepare<string, Row>(`SELECT * FROM tasks WHERE execution IN (${seqs}) ORDER BY execution, idx`)
      .all(names),
    attempts: database
      .prepare<string, AttemptRow>(
        `SELECT * FROM attempts WHERE execution IN (${seqs}) ORDER BY execution, idx, attempt`,
      )
      .all(names),
  }));
}

/** Who is in charge of the only engine. */
export function engineRow(path: string): EngineRow | undefined {
  return reading(path, (database) =>
    database.prepare<[], EngineRow>('SELECT owner, epoch FROM engines').get(),
  );
}

/** Measured while an attempt runs, by whoever leads it. */
const USAGE = ['cpu_ms', 'peak_memory', 'measure_time', 'pulled_bytes'];

/**
 * From now on every write to rows of executions, tasks and attempts is noted by the database itself, also one that
 * leaves them as they were: no row tells of that. But for those of nothing but the usage.
 */
export function noteWrites(path: string): void {
  const database = new Sqlite(path, { fileMustExist: true });
  try {
    database.exec('CREATE TABLE noted_writes (what TEXT NOT NULL, execution TEXT)');
    for (const table of ['executions', 'tasks', 'attempts'])
      for (const what of ['INSERT', 'UPDATE', 'DELETE']) database.exec(noting(database, table, what));
  } finally {
    database.close();
  }
}

function noting(database: Sqlite.Database, table: string, what: string): string {
  const row = what === 'DELETE' ? 'OLD' : 'NEW';
  const name =
    table === 'executions' ? `${row}.name` : `(SELECT name FROM executions WHERE seq = ${row}.execution)`;
  const columns = database
    .prepare<string, { name: string }>('SELECT name FROM pragma_table_info(?)')
    .all(table)
    .map((column) => column.name)
    .filter((column) => !USAGE.includes(column));
  const written = what === 'UPDATE' ? `UPDATE OF ${columns.join(', ')}` : what;
  return `CREATE TRIGGER noted_${table}_${what} AFTER ${written} ON ${table} BEGIN
    INSERT INTO noted_writes VALUES ('${what} ${table}', ${name}); END`;
}

/** What was written since to rows of this execution. */
export function notedWrites(path: string, execution: string): string[] {
  return reading(path, (database) =>
    database
      .prepare<string, { what: string }>('SELECT what FROM noted_writes WHERE execution = ?')
      .all(execution)
      .map(({ what }) => what),
  );
}

function reading<T>(path: string, read: (database: Sqlite.Database) => T): T {
  const database = new Sqlite(path, { readonly: true, fileMustExist: true });
  try {
    return read(database);
  } finally {
    database.close();
  }
}
