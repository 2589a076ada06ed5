import { expect, it } from 'vitest';
import { Bench, ENGINE } from '../../contract/store/fixture.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';

/** What one call of a commit has read, and a later one of the same commit must not be told any more. */
const bench = new Bench(makeSqliteFixture);
const claim = { engine: ENGINE, limit: 1, maxParallelism: 10 };

it('an engine that is let go between two calls of one commit is no longer held by the second', async () => {
  const { store } = bench;
  await bench.created();
  await bench.created();
  const epoch = await bench.epoch();
  const [before, released, after] = await Promise.allSettled([
    store.claimAttempts({ ...claim, epoch }),
    store.releaseEngine(ENGINE, epoch),
    store.claimAttempts({ ...claim, epoch }),
  ]);
  expect(before).toMatchObject({ value: { claims: [{ attempt: { state: 'STARTING' } }] } });
  expect(released.status).toBe('fulfilled');
  expect(after).toMatchObject({ reason: { code: 'STALE_EPOCH' } });
});

it('also where another call of the commit fails, and what it did is undone', async () => {
  const { store } = bench;
  const execution = bench.execution();
  await store.createExecution(execution);
  const epoch = await bench.epoch();
  const [taken, before, released, after] = await Promise.allSettled([
    store.createExecution({ ...execution, uid: 'another' }),
    store.claimAttempts({ ...claim, epoch }),
    store.releaseEngine(ENGINE, epoch),
    store.claimAttempts({ ...claim, epoch }),
  ]);
  expect(taken).toMatchObject({ reason: { code: 'CONFLICT' } });
  expect(before).toMatchObject({ value: { claims: [{ attempt: { state: 'STARTING' } }] } });
  expect(released.status).toBe('fulfilled');
  expect(after).toMatchObject({ reason: { code: 'STALE_EPOCH' } });
});

it('a limit that a job gets between two calls of one commit holds for the second', async () => {
  const { store } = bench;
  const first = bench.execution();
  const second = bench.execution();
  const key = { kind: 'job', name: first.job, etag: '1' } as const;
  await store.syncDefinitions([key]);
  const [, , queued] = await Promise.all([
    store.createExecution(first),
    store.syncDefinitions([{ ...key, maxConcurrentExecutions: 1 }]),
    store.createExecution(second),
  ]);
  expect(queued.waits).toBe('turn');
});
