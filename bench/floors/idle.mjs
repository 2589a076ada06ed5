// hono, better-sqlite3 and jose: a service that verifies a token and stores what it is sent.
import { serve } from '@hono/node-server';
import Database from 'better-sqlite3';
import { Hono } from 'hono';
import { jwtVerify } from 'jose';

const db = new Database(process.argv[2]);
db.pragma('journal_mode = WAL');
db.exec('CREATE TABLE told (n INTEGER PRIMARY KEY, body TEXT NOT NULL)');
const insert = db.prepare('INSERT INTO told (body) VALUES (?)');
const key = new TextEncoder().encode('a secret of the benchmark, 32 bytes');
const app = new Hono();
app.post('/', async (c) => {
  await jwtVerify((c.req.header('authorization') ?? '').slice('Bearer '.length), key);
  insert.run(await c.req.text());
  return c.body(null, 202);
});
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
  console.log(`listens on http://127.0.0.1:${port}`),
);
process.once('SIGTERM', () => process.exit(0));
