// Bare node:http with the durability that an answer of the gateway has: each body is a row, committed in groups once per
// turn of the event loop (SQLite, WAL, FULL), and then answered 204. GET tells how many there were.
import { createServer } from 'node:http';
import Database from 'better-sqlite3';

const db = new Database(process.argv[2]);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec('CREATE TABLE told (n INTEGER PRIMARY KEY, body BLOB NOT NULL)');
const insert = db.prepare('INSERT INTO told (body) VALUES (?)');

let taken = 0;
let waiting = [];
const store = db.transaction((calls) => {
  for (const { body } of calls) insert.run(body);
});

function flush() {
  const calls = waiting;
  waiting = [];
  store(calls);
  taken += calls.length;
  for (const { response } of calls) response.writeHead(204).end();
}

const server = createServer((request, response) => {
  if (request.method === 'GET') {
    response.end(String(taken));
    return;
  }
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    if (waiting.length === 0) setImmediate(flush);
    waiting.push({ body: Buffer.concat(chunks), response });
  });
});
// As ours: longer than MinIO keeps an idle connection, or a notification that is on its way would be lost.
server.keepAliveTimeout = 95_000;
server.listen(0, '127.0.0.1', () => console.log(`listens on http://127.0.0.1:${server.address().port}`));
process.once('SIGTERM', () => process.exit(0));
