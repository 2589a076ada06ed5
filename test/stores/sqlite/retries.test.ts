import { describe, expect, it } from 'vitest';
import { JOB_DEFAULTS } from '../../../src/core/job.ts';
import { Bench } from '../../contract/store/fixture.ts';
import { Db } from '../../../src/stores/sqlite/db.ts';
import { openConnection } from '../../../src/stores/sqlite/driver.ts';
import { MIGRATIONS, migrate } from '../../../src/stores/sqlite/migrations.ts';
import { SqliteStore } from '../../../src/stores/sqlite/store.ts';
import { heardConnection } from '../../support/heard-connection.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { SeededIds } from '../../support/seeded-ids.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const TASKS = 10_000;
let statements = 0;
const bench = new Bench(() =>
  makeSqliteFixture({
    connect: (path) => heardConnection(openConnection(path), { run: () => void statements++ }),
  }),
);

/** How many statements `work` takes. */
async function countOf(work: () => Promise<unknown>): Promise<number> {
  const before = statements;
  await work();
  return statements - before;
}

describe('10,000 tasks', () => {
  it('are halted, cancelled and run again with as few statements as one', async () => {
    const { store, clock, ids } = bench.fixture;
    const counts = async (taskCount: number): Promise<number[]> => {
      const ask = async (of: string): Promise<string> => {
        const name = `work-${ids.suffix(10)}`;
        await store.rerunExecution({ of, uid: ids.uid(), name, by: 'ann' });
        return name;
      };
      const old = await bench.created({ taskCount, maxFailedTasks: 0, maxRetries: 0 });
      const { attempt } = await bench.running();
      const halting = await countOf(() => bench.finish(attempt, bench.exit(1)));
      expect(await store.getExecution(old)).toMatchObject({
        state: 'FAILED',
        counters: { failed: 1, cancelled: taskCount - 1 },
      });
      let name = old;
      const asking = await countOf(async () => (name = await ask(old)));
      const cancelling = await countOf(() => store.cancelExecution(name, 'ann'));
      expect(await store.getExecution(name)).toMatchObject({ counters: { cancelled: taskCount } });
      const asking2 = await countOf(async () => (name = await ask(name)));
      await clock.advance(1);
      const claiming = await countOf(async () => expect(await bench.claim(50)).toHaveLength(1));
      expect((await store.listTasks(name, { size: 1000 })).items).toHaveLength(Math.min(taskCount, 1000));
      const stopping = await countOf(() => store.cancelExecution(name, 'ann'));
      await bench.finish({ execution: name, index: 0, attempt: 0 }, bench.broken('CANCELLED', 'x'));
      return [halting, asking, cancelling, asking2, claiming, stopping];
    };
    expect(await counts(TASKS)).toEqual(await counts(2));
  });

  it('that have a row each are copied by one statement', async () => {
    const { store, ids } = bench.fixture;
    const taskCount = 2000;
    const old = await bench.created({ taskCount, parallelism: 0, maxRetries: 0 });
    const failed = bench.broken('CONTAINER_START_FAILED', 'no such command');
    for (let left = taskCount; left > 0; left -= 1000) {
      const claims = await bench.claim(1000, taskCount);
      await Promise.all(claims.map(({ attempt }) => bench.finish(attempt, failed)));
    }
    expect(await store.getExecution(old)).toMatchObject({ counters: { failed: taskCount } });
    const params = { of: old, uid: ids.uid(), name: `work-${ids.suffix(10)}`, by: 'ann' };
    expect(await countOf(() => store.rerunExecution(params))).toBeLessThan(30);
    expect(await store.getExecution(params.name)).toMatchObject({ toRun: taskCount });
    expect(await bench.claim(10, taskCount)).toHaveLength(10);
  });
});

describe('a database from before', () => {
  it('counts its executions as running all of their tasks, and runs their failed ones again', async () => {
    const path = `${tempFolder()}/tappet.db`;
    const db = new Db(openConnection(path));
    const spine = MIGRATIONS.slice(0, 1);
    migrate(db, path, spine);
    const spec = { ...JOB_DEFAULTS, image: 'x', env: {}, binds: [], taskCount: 2 };
    db.exec(`
      INSERT INTO executions (seq, uid, name, job, job_generation, cause_kind, principal, task_count, parallelism,
        state, claimable, failed, succeeded, next_index, create_time, update_time, completion_time, expire_time)
        VALUES (1, 'u', 'work-1', 'work', 1, 'api', 'ann', 2, 1, 'FAILED', 0, 1, 1, 2, 0, 0, 0, 9000000000000);
      INSERT INTO execution_specs VALUES (1, '${JSON.stringify(spec)}', '{}', '{}');
      INSERT INTO tasks (execution, idx, state, attempts, retries, infra_failures, start_time)
        VALUES (1, 0, 'SUCCEEDED', 1, 0, 0, 0), (1, 1, 'FAILED', 1, 0, 0, 0);
    `);
    db.close();
    const store = new SqliteStore({ path, clock: new ManualClock(), ids: new SeededIds() });
    await store.open();
    expect(await store.getExecution('work-1')).toMatchObject({
      toRun: 2,
      rerunOf: null,
      deadline: null,
      haltReason: null,
    });
    const again = await store.rerunExecution({ of: 'work-1', uid: 'v', name: 'work-2', by: 'ann' });
    expect(again).toMatchObject({ outcome: 'created', execution: { toRun: 1 } });
    expect((await store.listTasks('work-2', { size: 10 })).items).toMatchObject([
      { index: 1, state: 'PENDING' },
    ]);
    await store.close();
  });
});
