// Acknowledges rows that are not on disk yet: WAL with synchronous=NORMAL. The power-cut test must see it lose some.
import Database from 'better-sqlite3';

const db = new Database(process.argv[2]);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = NORMAL');
db.exec('CREATE TABLE rows (id TEXT)');
const insert = db.prepare('INSERT INTO rows VALUES (?)');
let n = 0;
setInterval(() => {
  const id = `row-${n++}`;
  insert.run(id);
  process.stdout.write(`${id}\n`);
}, 2);
