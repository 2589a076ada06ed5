import { expect, it } from 'vitest';
import { openConnection } from '../../../src/stores/sqlite/driver.ts';
import type { Connection } from '../../../src/stores/sqlite/driver.ts';
import { Bench, HOUR } from '../../contract/store/fixture.ts';
import { heardConnection } from '../../support/heard-connection.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';

let connection: Connection;
/** The statements that were run since the last look, by their text. */
const run: string[] = [];
const bench = new Bench(() =>
  makeSqliteFixture({
    connect: (path) => {
      const opened = openConnection(path);
      if (path.includes('.owner-')) return opened;
      connection = opened;
      return heardConnection(opened, { run: (sql) => run.push(sql) });
    },
  }),
);
const GIB = 1024 ** 3;

/** As many more of an execution as are asked for, without the calls. */
function copies(name: string, count: number): void {
  const columns = `job, job_generation, cause_kind, task_count, parallelism, state, claimable, create_time,
    update_time, to_run, deadline, need_memory, need_cpu, need_time`;
  connection.exec(`
    INSERT INTO executions (uid, name, ${columns})
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
      SELECT e.uid || i, e.name || i, ${columns} FROM n, executions e WHERE e.name = '${name}';
    INSERT INTO execution_specs SELECT e.seq, s.spec, s.context, s.labels
      FROM executions e, execution_specs s, executions o
      WHERE o.name = '${name}' AND s.execution = o.seq AND e.seq > o.seq;`);
}

const inLine = () =>
  (connection.prepare('SELECT count(*) AS n FROM executions WHERE claimable = 1').get() as { n: number }).n;

it('a claim takes only so many overdue ones out of the line, and the next ones the rest', async () => {
  copies(await bench.created({ deadlineMs: HOUR }), 1499);
  const small = await bench.created();
  await bench.clock.advance(HOUR);
  const first = await bench.claimed();
  expect([first.claims.length, first.more, inLine()]).toEqual([0, true, 501]);
  const then = await bench.claimed();
  expect([then.claims[0]?.attempt.execution, then.more, inLine()]).toEqual([small, false, 0]);
});

it('a claim finds one that may go ahead behind 20,000 that do not fit', async () => {
  copies(await bench.created({ memoryBytes: 6 * GIB }), 20_000);
  const small = await bench.created({ memoryBytes: GIB, timeoutMs: 1000 });
  const room = {
    host: { cpus: 4, memoryBytes: 8 * GIB },
    settings: { cpuOvercommit: 8, memoryReserveBytes: 0 },
    charges: [{ memoryBytes: 4 * GIB, cpuMillis: 0, endBy: bench.clock.now() + HOUR }],
    reserved: null,
  };
  const { claims, reserved } = await bench.claimed({ room });
  expect(claims.map(({ attempt }) => attempt.execution)).toEqual([small]);
  expect(reserved).not.toBeNull();
});

it('a claim reads the whole of an execution only where it starts a task of it', async () => {
  const first = await bench.created({ memoryBytes: 6 * GIB });
  await bench.created({ memoryBytes: 5 * GIB });
  const room = {
    host: { cpus: 4, memoryBytes: 8 * GIB },
    settings: { cpuOvercommit: 8, memoryReserveBytes: 0 },
    charges: [{ memoryBytes: 4 * GIB, cpuMillis: 0, endBy: bench.clock.now() + HOUR }],
    reserved: null,
  };
  const readSpecs = () => run.splice(0).filter((sql) => sql.includes('execution_specs')).length;
  run.length = 0;
  const none = await bench.claimed({ room });
  expect([none.claims.length, readSpecs()]).toEqual([0, 0]);
  const again = await bench.claimed({ room: { ...room, reserved: none.reserved } });
  expect([again.claims.length, again.reserved?.execution, readSpecs()]).toEqual([0, first, 0]);
  const free = { ...room, charges: [], reserved: again.reserved };
  const then = await bench.claimed({ room: free });
  expect([then.claims[0]?.attempt.execution, readSpecs()]).toEqual([first, 1]);
});
