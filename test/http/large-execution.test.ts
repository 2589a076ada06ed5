import { afterEach, beforeEach, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { openConnection } from '../../src/stores/sqlite/driver.ts';
import { heardConnection } from '../support/heard-connection.ts';
import { createTestApp, jobDefinition, testConfig } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';
import { makeSqliteFixture } from '../support/sqlite-fixture.ts';
import type { SqliteFixture } from '../support/sqlite-fixture.ts';

const TASKS = 10_000;
/** So many have started: only these have a row. */
const STARTED = 5_000;
const PAGE = 100;

/** What has been asked of the database since the last look. */
let statements: string[] = [];
let rows = 0;
let fixture: SqliteFixture;
let t: TestApp;

beforeEach(async () => {
  const heard = {
    run: (sql: string) => void statements.push(sql),
    rows: (count: number) => void (rows += count),
  };
  fixture = await makeSqliteFixture({ connect: (path) => heardConnection(openConnection(path), heard) });
  const { store, clock, ids } = fixture;
  const jobs = new Map([['wide', jobDefinition('wide', { taskCount: TASKS, parallelism: 0 })]]);
  const config = { ...testConfig(), jobs };
  t = createTestApp({ store, clock, ids, config: () => config });
});
afterEach(() => fixture.dispose());

interface Asked {
  readonly answer: JsonObject;
  readonly statements: readonly string[];
  readonly rows: number;
}

async function ask(method: string, path: string, body?: unknown): Promise<Asked> {
  statements = [];
  rows = 0;
  const response = await t.call(method, `/api/v1/${path}`, body === undefined ? {} : { body });
  const answer = (await response.json()) as JsonObject;
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return { answer, statements: [...statements], rows };
}

/** All pages, to the end. */
async function pagesOf(execution: string): Promise<Asked[]> {
  const pages: Asked[] = [];
  let token = '';
  do {
    const page = await ask(
      'GET',
      `executions/${execution}/tasks?pageSize=${PAGE}&pageToken=${encodeURIComponent(token)}`,
    );
    pages.push(page);
    token = String(page.answer['nextPageToken']);
  } while (token !== '');
  return pages;
}

const tasksOf = (pages: readonly Asked[]): JsonObject[] =>
  pages.flatMap(({ answer }) => answer['tasks'] as JsonObject[]);
const counted = (tasks: readonly JsonObject[], state: string): number =>
  tasks.filter((task) => task['state'] === state).length;

it('an execution of 10,000 tasks costs the API a few statements to create, to list by each page, and to cancel', async () => {
  const created = await ask('POST', 'jobs/wide:run', {});
  const name = String(created.answer['name']);
  expect(created.statements.length).toBeGreaterThan(0);
  expect(created.statements.length).toBeLessThan(20);
  const lease = await fixture.store.acquireEngine('docker', 'me', 60_000);
  const epoch = lease.held ? lease.epoch : -1;
  await fixture.store.claimAttempts({ engine: 'docker', epoch, limit: STARTED, maxParallelism: TASKS });

  const listed = await ask('GET', 'executions');
  expect(listed.answer['executions']).toMatchObject([{ name, taskCount: TASKS, runningCount: STARTED }]);
  expect(listed.statements.length).toBeLessThan(5);
  expect(listed.rows).toBeLessThan(5);

  const pages = await pagesOf(name);
  const tasks = tasksOf(pages);
  expect(tasks.map((task) => task['index'])).toEqual(Array.from({ length: TASKS }, (_, i) => i));
  expect([counted(tasks, 'RUNNING'), counted(tasks, 'PENDING')]).toEqual([STARTED, TASKS - STARTED]);
  // The first, the last and each between ask for the same, and read no more than they show.
  const [first] = pages;
  expect(pages).toHaveLength(TASKS / PAGE);
  expect(first?.statements.length).toBeGreaterThan(0);
  expect(first?.statements.length).toBeLessThan(8);
  for (const page of pages) {
    expect(page.statements).toEqual(first?.statements);
    expect(page.rows).toBeLessThanOrEqual(PAGE + 1);
  }
  // A page that is found by counting those before it is the dearer the later it comes.
  expect(first?.statements.filter((sql) => /\boffset\b/i.test(sql))).toEqual([]);

  const cancelled = await ask('POST', `executions/${name}:cancel`, {});
  expect(cancelled.statements.length).toBeLessThan(20);
  expect(counted(tasksOf(await pagesOf(name)), 'CANCELLED')).toBe(TASKS - STARTED);
});
