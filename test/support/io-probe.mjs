// Does once all that a gateway asks a disk for, whenever it gets a line, and answers with the names of what failed. Its
// folder is the argument.
import { closeSync, fdatasync, fsync, ftruncate, openSync, write, writev } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';

const dir = process.argv[2];
const file = openSync(join(dir, 'file'), 'w');
const db = new Database(join(dir, 'probe.db'));
db.pragma('journal_mode = WAL');
db.exec('CREATE TABLE rows (id TEXT)');
const ASKS = {
  'file: write at': () => promisify(write)(file, Buffer.from('x'), 0, 1, 0),
  'file: writev at': () => promisify(writev)(file, [Buffer.from('x'), Buffer.from('y')], 0),
  'file: truncate': () => promisify(ftruncate)(file, 0),
  'file: fsync': () => promisify(fsync)(file),
  'file: fdatasync': () => promisify(fdatasync)(file),
  'file: open': () => closeSync(openSync(join(dir, 'other'), 'w')),
  'SQLite: insert': () => db.exec("INSERT INTO rows VALUES ('row')"),
  'SQLite: checkpoint': () => db.pragma('wal_checkpoint(TRUNCATE)'),
  'SQLite: open': () => new Database(join(dir, 'probe.db')).prepare('SELECT * FROM rows').all(),
};

for await (const _ of createInterface({ input: process.stdin })) {
  const failed = [];
  for (const [name, ask] of Object.entries(ASKS)) {
    try {
      await ask();
    } catch {
      failed.push(name);
    }
  }
  console.log(JSON.stringify(failed));
}
