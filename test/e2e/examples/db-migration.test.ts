import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '../../../src/core/json.ts';
import { PostgresExample } from '../../support/postgres-example.ts';

const COLUMN =
  "SELECT count(*) FROM information_schema.columns WHERE table_name = 'documents' AND column_name = 'words'";
const LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
/** Where containers are, there are their sessions. */
const SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'migrate-%'";
const LOG = 'SELECT what FROM migration_log ORDER BY at';

let example: PostgresExample;
const query = (sql: string): Promise<string> => example.postgres.query(sql);
beforeAll(async () => {
  example = await PostgresExample.make('db-migration');
});
afterAll(() => example.close());

/** Nothing is changed, and nobody is kept from anything. */
async function expectUntouched(): Promise<void> {
  expect(await Promise.all([COLUMN, LOCKS, SESSIONS].map(query))).toEqual(['0', '0', '0']);
  expect(await query('SELECT version FROM schema_migrations')).toBe('1');
}
async function until(sql: string, wanted: string): Promise<void> {
  await expect.poll(() => query(sql), { timeout: 20_000, interval: 50 }).toBe(wanted);
}
const attempt = async (name: unknown): Promise<JsonObject> =>
  ((await example.get(`executions/${String(name)}/tasks/0/attempts`))['attempts'] as JsonObject[])[0] ?? {};

it('dies of memory at 64 MiB, which the first line says, and leaves nothing behind', async () => {
  await example.next('psql -q -f schema.sql');
  expect((await example.next('npx tappet jobs run')).code).toBe(1);
  const execution = await example.latest();
  expect(execution).toMatchObject({ state: 'FAILED', reason: 'OOM_KILLED', retriedCount: 0 });
  await example.next('npx tappet executions describe');
  // The server learns from the kernel that its client is no more.
  await until(SESSIONS, '0');
  await expectUntouched();
  expect(await query(LOG)).toBe('started');
});

it('with more memory runs as long as it needs; cancelled, it takes all back within its grace time', async () => {
  await example.next('sed -i');
  await example.gateway.until('/api/v1/jobs/migrate', (job) =>
    (job['template'] as JsonObject)['memory'] === '512Mi' ? true : undefined,
  );
  // It does all of its work, and waits for the last of its locks.
  const other = await example.postgres.hold('LOCK TABLE schema_migrations IN SHARE MODE');
  await example.next('npx tappet jobs run');
  await until(
    `${SESSIONS} AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO schema_migrations%'`,
    '1',
  );
  expect(await query(LOCKS)).toBe('1');
  await example.next('npx tappet executions cancel');

  const { name } = await example.latest();
  const ended = await example.gateway.until(`/api/v1/executions/${String(name)}`, (execution) =>
    execution['completionTime'] === null ? undefined : execution,
  );
  // The other one still holds its lock: what was let go, the handler let go.
  await until(SESSIONS, '0');
  await expectUntouched();
  expect(await query(LOG)).toBe('started\nstarted\nrolled back');
  await other.release();
  expect(ended).toMatchObject({ state: 'CANCELLED', spec: { timeout: '1d', gracePeriod: '1m' } });
  const [asked, done] = [ended['cancelRequestTime'], ended['completionTime']].map((at) =>
    Date.parse(String(at)),
  );
  expect(Number(done) - Number(asked)).toBeLessThan(60_000);
  expect(await attempt(name)).toMatchObject({ state: 'CANCELLED', stopReason: 'cancel', exitCode: 143 });
  await example.next('npx tappet executions describe');
  await example.next('npx tappet logs');
});

it('succeeds with more memory, once', async () => {
  expect((await example.next('npx tappet jobs run')).code).toBe(0);
  const name = String((await example.latest())['name']);
  expect((await example.next('npx tappet jobs run')).code).toBe(0);
  await example.next('psql -c');
  expect(example.left()).toEqual([]);

  expect(await query('SELECT applied_by FROM schema_migrations WHERE version = 2')).toBe(name);
  expect(await query(LOG)).toBe('started\nstarted\nrolled back\nstarted\napplied\nstarted');
  // Counted by the server, in another way.
  const wrong = "cardinality(regexp_split_to_array(trim(body), ' ')) IS DISTINCT FROM words";
  expect(await query(`SELECT count(*), count(*) FILTER (WHERE ${wrong}) FROM documents`)).toBe('24000|0');
  expect(await query(LOCKS)).toBe('0');
});

it('prints the password nowhere', async () => {
  expect(await example.leaks()).toEqual([]);
});
