import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '../../../src/core/json.ts';
import { cutCommit } from '../../support/cut-commit.ts';
import type { CutCommit } from '../../support/cut-commit.ts';
import { PostgresExample } from '../../support/postgres-example.ts';

const TASKS = 50;
/** Whose connection is cut after its COMMIT, before it hears of it. */
const CUT = 7;
/** Whose share has the line that is no order. */
const BAD = 23;

let example: PostgresExample;
let cut: CutCommit | undefined;
beforeAll(async () => {
  example = await PostgresExample.make('etl-50', {
    through: async (postgres) => {
      cut = await cutCommit(postgres, (application) => application.endsWith(`/${CUT}`));
      return cut.port;
    },
  });
});
afterAll(async () => {
  await example.close();
  await cut?.close();
});

/** The lines of the input that `wanted` keeps, as psql prints the rows that they make. */
function rows(wanted: (share: number) => boolean): string[] {
  const lines = readFileSync(join(example.data, 'orders.csv'), 'utf8').trimEnd().split('\n').slice(1);
  return lines.filter((_, i) => wanted(i % TASKS)).map((line) => line.replaceAll(',', '|'));
}
const table = async (): Promise<string[]> =>
  (await example.postgres.query('SELECT id, customer, cents FROM orders ORDER BY id')).split('\n');
const attempts = async (execution: string, task: number): Promise<JsonObject[]> =>
  (await example.get(`executions/${execution}/tasks/${task}/attempts`))['attempts'] as JsonObject[];

/** At any time. */
function mostAtOnce(tasks: readonly JsonObject[]): number {
  const times = tasks.map((task) => [
    Date.parse(String(task['startTime'])),
    Date.parse(String(task['completionTime'])),
  ]);
  const during = ([start = 0]: number[]) =>
    times.filter(([from = 0, to = 0]) => from <= start && start < to).length;
  return Math.max(...times.map(during));
}

it(
  'loads each order once: a broken COMMIT is retried, a bad line fails its task, and that alone runs again',
  { timeout: 120_000 },
  async () => {
    await example.next('psql -q -f schema.sql');
    await example.next('cp orders.csv');
    expect((await example.next('npx tappet jobs run')).code).toBe(1);

    const first = await example.latest();
    const name = String(first['name']);
    expect(first).toMatchObject({
      state: 'FAILED',
      taskCount: TASKS,
      succeededCount: TASKS - 1,
      failedCount: 1,
    });
    expect(first).toMatchObject({ retriedCount: 1 });
    expect(cut?.cuts()).toBe(1);
    expect(await attempts(name, CUT)).toMatchObject([
      { state: 'FAILED', exitCode: 2 },
      { state: 'SUCCEEDED', exitCode: 0 },
    ]);
    expect(await attempts(name, BAD)).toMatchObject([{ state: 'FAILED', exitCode: 65 }]);
    const { tasks } = await example.get(`executions/${name}/tasks?pageSize=1000`);
    // A retry waits between its attempts.
    const steady = (tasks as JsonObject[]).filter(({ index }) => index !== CUT);
    expect(steady).toHaveLength(TASKS - 1);
    expect(mostAtOnce(steady)).toBeGreaterThan(1);
    expect(mostAtOnce(steady)).toBeLessThanOrEqual(10);
    expect(await table()).toEqual(rows((share) => share !== BAD));

    await example.next('npx tappet executions describe');
    await example.next('npx tappet executions logs');
    await example.next('sed -i');
    expect((await example.next('npx tappet executions rerun')).code).toBe(0);

    const again = await example.latest();
    expect(again).toMatchObject({ state: 'SUCCEEDED', rerunOf: name, tasksToRun: 1, succeededCount: 1 });
    const all = rows(() => true);
    expect(await table()).toEqual(all);
    const sum = all.reduce((cents, row) => cents + Number(row.split('|')[2]), 0);
    const { output } = await example.next('psql -c');
    expect(output).toMatch(new RegExp(`^ +${all.length} \\| +${sum}$`, 'm'));
    // What the others had loaded was not touched again.
    const by = await example.postgres.query('SELECT loaded_by, count(*) FROM orders GROUP BY 1 ORDER BY 2');
    const share = rows((one) => one === BAD).length;
    expect(by).toBe(`${String(again['name'])}|${share}\n${name}|${all.length - share}`);
    expect(example.left()).toEqual([]);
  },
);

it('prints the password nowhere', async () => {
  expect(await example.leaks()).toEqual([]);
});
