import { expect, it } from 'vitest';
import { openConnection } from '../../../src/stores/sqlite/driver.ts';
import type { Connection } from '../../../src/stores/sqlite/driver.ts';
import { Bench } from '../../contract/store/fixture.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';

let connection: Connection;
const bench = new Bench(() =>
  makeSqliteFixture({
    connect: (path) => {
      const opened = openConnection(path);
      if (!path.includes('.owner-')) connection = opened;
      return opened;
    },
  }),
);
const TASKS = 10_000;

/** Rows that `work` has written. */
async function written(work: () => Promise<unknown>): Promise<number> {
  const changes = () => (connection.prepare('SELECT total_changes() AS n').get() as { n: number }).n;
  const before = changes();
  await work();
  return changes() - before;
}

it('an execution of 10,000 tasks is a few rows until they start, also to list and to cancel', async () => {
  const execution = bench.execution({ taskCount: TASKS, parallelism: 100 });
  const { store } = bench;
  expect(await written(() => store.createExecution(execution))).toBeLessThanOrEqual(3);
  const { items, nextCursor } = await store.listTasks(execution.name, { size: 100 });
  expect([items.length, nextCursor === null]).toEqual([100, false]);
  await bench.claim(10);
  // The execution, ten attempts that are asked to stop, and what a cancel adds: no row for each task.
  expect(await written(() => store.cancelExecution(execution.name, 'ann'))).toBeLessThan(20);
  const cancelled = bench.execution({ taskCount: TASKS });
  await store.createExecution(cancelled);
  expect(await written(() => store.cancelExecution(cancelled.name, 'ann'))).toBeLessThan(10);
  expect((await store.getExecution(cancelled.name))?.counters.cancelled).toBe(TASKS);
  expect((await store.getTask(cancelled.name, TASKS - 1))?.state).toBe('CANCELLED');
});
