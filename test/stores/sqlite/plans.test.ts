import { expect, it } from 'vitest';
import { openConnection } from '../../../src/stores/sqlite/driver.ts';
import type { Connection } from '../../../src/stores/sqlite/driver.ts';
import { Bench, ENGINE } from '../../contract/store/fixture.ts';
import { heardConnection } from '../../support/heard-connection.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';

const prepared = new Set<string>();
let connection: Connection;
const bench = new Bench(() =>
  makeSqliteFixture({
    connect: (path) => {
      const opened = openConnection(path);
      if (!path.includes('.owner-')) connection = opened;
      return heardConnection(opened, { prepared: (sql) => prepared.add(sql) });
    },
  }),
);

/** Every subset of a filter's fields. */
function subsets<T extends object>(filter: T): Partial<T>[] {
  return Object.entries(filter).reduce<Partial<T>[]>(
    (all, [key, value]) => all.flatMap((some) => [some, { ...some, [key]: value as unknown }]),
    [{}],
  );
}

async function everyStatement(): Promise<void> {
  const { store } = bench;
  const page = { size: 1 };
  const event = await bench.accepted('1');
  await bench.accepted('1');
  const cause = { kind: 'event', event, trigger: 't' } as const;
  const execution = bench.execution({}, { cause });
  const decision = { trigger: 't', outcome: 'matched', reason: 'x', execution } as const;
  await store.decide({ event, decisions: [decision] });
  await bench.attempt(bench.exit(1));
  await store.undecidedEvents(1);
  await store.eventOutcome(event);
  await store.eventOutcome('gone');
  await store.scanState('o', 'p', null, 1);
  await store.scanState('o', 'p', 'pa', 1);
  for (const some of subsets({ origin: 'o', trigger: 't', type: 'y' })) await store.listEvents(some, page);
  for (const some of subsets({ event, trigger: 't' })) await store.listDecisions(some, page);
  const filter = { job: 'work', state: 'FAILED', trigger: 't', event } as const;
  for (const some of subsets(filter)) await store.listExecutions(some, page);
  await store.listTasks(execution.name, page);
  await store.listAttempts(execution.name, 0);
  await store.listSpans(execution.name, page);
  await store.counts();
  await bench.claim();
  const usage = { wallMs: null, cpuMs: 1, peakMemoryBytes: 1, measureTime: 1, pulledBytes: 0 };
  const measured = [{ key: { execution: execution.name, index: 0, attempt: 1 }, usage }];
  await store.attemptsMeasured({ engine: ENGINE, epoch: await bench.epoch(), measured });
  await store.stopRequests(ENGINE);
  await store.cancelExecution(execution.name, 'ann');
  await bench.finish({ execution: execution.name, index: 0, attempt: 1 }, bench.broken('CANCELLED', 'x'));
  await store.haltOverdue(1);
  await store.rerunExecution({ of: execution.name, uid: 'u', name: 'work-again', by: 'ann' });
  await store.syncDefinitions([{ kind: 'job', name: 'work', etag: '1', maxConcurrentExecutions: 1 }]);
  await bench.created({ memoryBytes: 2 ** 30, cpu: 4 });
  await bench.created();
  await bench.claimed({
    room: {
      host: { cpus: 4, memoryBytes: 2 ** 30 },
      settings: { cpuOvercommit: 1, memoryReserveBytes: 0 },
      charges: [{ memoryBytes: 1, cpuMillis: 1, endBy: 0 }],
      reserved: null,
    },
  });
  await store.syncDefinitions([{ kind: 'job', name: 'work', etag: '2' }]);
  await store.surplusExecutions('work', 1, 1);
  await store.deleteExecution(execution.name);
  await store.pruneExecutions(await store.expiredExecutions(1));
  await store.pruneEvents(0, 1);
  await store.whichEventsExist(['u']);
  await store.imagePulled({ engine: ENGINE, epoch: await bench.epoch(), digest: 'd', name: 'n' });
  await store.unusedImages(ENGINE, 0, 1);
  await store.imagesInUse(null, 1);
  await store.imagesInUse('RUNNING:1', 1);
  await store.imageUsed(ENGINE, 'd');
  await store.imageRemoved(ENGINE, 'd');
  await everyNotification();
  await store.releaseEngine(ENGINE, await bench.epoch());
  await store.forgetEngine({ engine: ENGINE, by: 'ann' });
}

async function everyNotification(): Promise<void> {
  const { store } = bench;
  const notify = { onFailure: ['ops'], onRecovery: ['ops'], onCompletion: ['ci'] };
  for (const code of [1, 0, 1]) {
    await bench.created({ maxRetries: 0, notify });
    await bench.attempt(bench.exit(code));
  }
  const due = { leaseMs: 1, limit: 2, receivers: ['ops', 'ci'], maxAgeMs: 1000 };
  const outcome = { state: 'DELIVERED', status: 204 } as const;
  for (const { id, attempts } of await store.claimNotifications(due))
    await store.settleNotification({ id, attempt: attempts, outcome });
  const told = { execution: 'x', receiver: 'ops', state: 'PENDING' } as const;
  for (const some of subsets(told)) await store.listNotifications(some, { size: 1 });
  await store.notificationCounts();
  await store.pruneNotifications({ deliveredForMs: 0, givenUpForMs: 0, limit: 1 });
}

/** Whole-table reads that are meant: the configuration's own size, the engines of a store, lists without a filter, by rowid, and what a subquery has found. */
const MEANT = [
  /SCAN definitions$/,
  /SCAN engines$/,
  /SCAN [ed]$/,
  /SCAN events$/,
  /SCAN CONSTANT ROW$/,
  // The list that is handed in, and no table.
  /SCAN json_each VIRTUAL TABLE INDEX 1:$/,
  /SCAN \(subquery-\d+\)$/,
];

it('no statement sorts, and none reads a whole table to find its rows', async () => {
  await everyStatement();
  const found: string[] = [];
  let explained = 0;
  for (const sql of prepared) {
    if (!/^\s*(SELECT|UPDATE|DELETE)/.test(sql)) continue;
    explained += 1;
    const params = Array<number>(sql.split('?').length - 1).fill(0);
    const plan = connection.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...params) as { detail: string }[];
    for (const { detail } of plan) {
      const unmeant = detail.startsWith('SCAN') && !/USING (COVERING )?INDEX/.test(detail);
      const whole = unmeant && !MEANT.some((pattern) => pattern.test(detail));
      // The first page of a list without a filter walks the rowids down and stops at its size.
      const unlimited = unmeant && /SCAN (e|d|events)$/.test(detail) && !/LIMIT \?/.test(sql);
      // A filter that walks the rowids down reads past everything that does not fit it.
      const walks = detail.endsWith('PRIMARY KEY (rowid<?)') && / = \?/.test(sql);
      if (whole || unlimited || walks || detail.includes('TEMP B-TREE')) found.push(`${detail}: ${sql}`);
    }
  }
  expect([...prepared].filter((sql) => /LIMIT \?(?!\+0)/.test(sql))).toEqual([]);
  expect(explained).toBeGreaterThan(40);
  expect(found).toEqual([]);
});
