import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import type { JobSpec } from '../../src/core/job.ts';
import { DeadlineWatch } from '../../src/executor/deadline-watch.ts';
import type { Executor } from '../../src/executor/executor.ts';
import { Rig } from '../support/executor-rig.ts';

let rig: Rig;
const watches: DeadlineWatch[] = [];
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(async () => {
  await Promise.all(watches.splice(0).map((one) => one.stop()));
  await rig.close();
});

async function watch(
  executor?: Executor,
  store: Pick<Rig['store'], 'haltOverdue'> = rig.store,
): Promise<void> {
  const log = { info: say, warn: say, error: say };
  const onHalted = (): void => executor?.wakeStops();
  const one = new DeadlineWatch({ store, clock: rig.clock, log, onHalted });
  watches.push(one);
  await one.start();
}
const said: string[] = [];
const say = (message: string): void => void said.push(message);

const BACKOFF: JobSpec['retry'] = {
  backoff: 'exponential',
  initialMs: 10_000,
  factor: 3,
  maxMs: 60_000,
  jitter: 'full',
};

describe('retry', () => {
  it('pauses as drawn, longer each time, and no slot waits with it', async () => {
    rig.random = 0.5;
    rig.runner.script = () => ({ exitAt: 1000, exit: { exitCode: 1 } });
    await rig.started({}, { maxRunningTasks: 1 });
    const name = await rig.create({ maxRetries: 2, retry: BACKOFF });
    const other = await rig.create({ maxRetries: 0 });
    await rig.ended(other);
    await rig.ended(name);
    const attempts = await rig.store.listAttempts(name, 0);
    const pauses = attempts.slice(1).map(({ createTime }, i) => createTime - (attempts[i]?.endTime ?? 0));
    expect(attempts).toHaveLength(3);
    // Noticed within the second of the poll.
    expect(pauses.map((ms) => Math.floor(ms / 1000) * 1000)).toEqual([5000, 15_000]);
  });

  it('keeps the pause that was drawn when the store does not take the end at once', async () => {
    rig.runner.script = () => ({ exitAt: 1000, exit: { exitCode: 1 } });
    let refusals = 2;
    const given: (number | undefined)[] = [];
    const store = new Proxy(rig.store, {
      get: (inner, key): unknown => {
        const value: unknown = Reflect.get(inner, key);
        if (key !== 'finishAttempt') return typeof value === 'function' ? value.bind(inner) : value;
        return (params: Parameters<typeof inner.finishAttempt>[0]) => {
          given.push(params.random);
          rig.random += 0.1;
          if (refusals-- > 0) throw new TappetError('STORE_UNAVAILABLE', 'the disk is full');
          return inner.finishAttempt(params);
        };
      },
    });
    await rig.started({ store });
    const name = await rig.create({ maxRetries: 1, retry: BACKOFF });
    await rig.until(() => given.length === 3);
    expect(given).toEqual([0.5, 0.5, 0.5]);
    expect((await rig.ended(name)).state).toBe('FAILED');
  });
});

it('each attempt has 10 minutes where the job says nothing', async () => {
  await rig.started();
  const name = await rig.create({ maxRetries: 1 });
  for (const number of [0, 1]) {
    await rig.until(async () => (await rig.store.listAttempts(name, 0))[number]?.state === 'RUNNING');
    await rig.clock.advance(599_000);
    expect(await rig.attempt(name)).toMatchObject({ attempt: number, state: 'RUNNING', stopReason: null });
    await rig.clock.advance(1_000);
  }
  expect(await rig.ended(name)).toMatchObject({ state: 'FAILED', reason: 'TIMED_OUT' });
  for (const { startTime, endTime } of await rig.store.listAttempts(name, 0))
    expect((endTime ?? 0) - (startTime ?? 0)).toBe(600_000);
});

describe('an execution that stops itself', () => {
  it('ends its containers with their grace at the deadline, and starts no other', async () => {
    rig.runner.script = () => ({ onTerm: { code: 9, afterMs: 2000 } });
    const executor = await rig.started();
    await watch(executor);
    const name = await rig.create({ taskCount: 3, parallelism: 1, timeoutMs: 3_600_000, deadlineMs: 60_000 });
    const row = await rig.ended(name);
    expect(row).toMatchObject({ state: 'FAILED', reason: 'DEADLINE_EXCEEDED', counters: { cancelled: 3 } });
    expect((row.completionTime ?? 0) - row.createTime - 62_000).toBeLessThanOrEqual(1000);
    expect(await rig.attempt(name)).toMatchObject({
      state: 'CANCELLED',
      stopReason: 'deadline',
      exitCode: 9,
      message: 'Stopped at the deadline of its execution; after SIGTERM it ended with exit code 9.',
    });
    expect(rig.runner.starts.size).toBe(1);
    expect(rig.runner.names()).toEqual([]);
  });

  it('does so after a restart, by the time of its creation', async () => {
    const first = await rig.started();
    const name = await rig.create({ deadlineMs: 60_000, timeoutMs: 3_600_000 });
    await rig.running(name);
    const stopping = first.stop();
    await rig.clock.advance(5000);
    await stopping;
    await rig.clock.advance(120_000);
    expect(rig.runner.names()).toHaveLength(1);
    const second = await rig.started();
    await watch(second);
    const row = await rig.ended(name);
    expect(row).toMatchObject({ state: 'FAILED', reason: 'DEADLINE_EXCEEDED' });
    expect(rig.runner.names()).toEqual([]);
  });

  it('needs no engine to be overdue', async () => {
    await watch();
    const names: string[] = [];
    for (let i = 0; i < 120; i++) names.push(await rig.create({ deadlineMs: 5000 }));
    await rig.clock.advance(7000);
    for (const name of names) expect((await rig.store.getExecution(name))?.state).toBe('FAILED');
  });

  it('says so once where the store does not answer, and goes on', async () => {
    said.length = 0;
    let failures = 3;
    const haltOverdue = async (limit: number): Promise<number> => {
      if (failures-- > 0) throw new TappetError('STORE_UNAVAILABLE', 'the disk is full');
      return rig.store.haltOverdue(limit);
    };
    await watch(undefined, { haltOverdue });
    const name = await rig.create({ deadlineMs: 1000 });
    await rig.clock.advance(5000);
    expect(said).toEqual([
      'Could not look for overdue executions; trying again every second: the disk is full',
    ]);
    expect((await rig.store.getExecution(name))?.state).toBe('FAILED');
  });

  it('ends the containers of the other tasks after too many failures', async () => {
    rig.runner.script = ({ key }) =>
      key.index === 1 ? { exitAt: 5000, exit: { exitCode: 1 } } : { onTerm: { code: 0, afterMs: 100 } };
    await rig.started();
    const name = await rig.create({ taskCount: 4, parallelism: 2, maxRetries: 0, maxFailedTasks: 0 });
    const row = await rig.ended(name);
    expect(row).toMatchObject({
      state: 'FAILED',
      reason: 'TOO_MANY_FAILED',
      message: 'Task 1 failed: exit code 1. The other 3 tasks were cancelled: failFast.',
    });
    expect((await rig.attempt(name, 0)).message).toBe(
      'Stopped because too many other tasks had failed; after SIGTERM it ended with exit code 0.',
    );
    expect(rig.runner.starts.size).toBe(2);
  });
});

describe('a re-run', () => {
  it('gives each task its own number, and the count of all', async () => {
    rig.runner.script = ({ key }) => ({ exitAt: 100, exit: { exitCode: key.index === 2 ? 1 : 0 } });
    const executor = await rig.started();
    const old = await rig.create({
      taskCount: 4,
      parallelism: 0,
      maxRetries: 0,
      args: ['${{ task.index }}'],
    });
    await rig.ended(old);
    rig.runner.script = () => ({});
    const name = `work-${rig.ids.suffix(10)}`;
    await rig.store.rerunExecution({ of: old, uid: rig.ids.uid(), name, by: 'ann' });
    executor.wake();
    await rig.running(name, 2);
    expect(rig.runner.names()).toEqual([rig.container(name, 2)]);
    expect(rig.runner.specOf(rig.container(name, 2))).toMatchObject({
      args: ['2'],
      env: {
        CLOUD_RUN_EXECUTION: name,
        CLOUD_RUN_TASK_INDEX: '2',
        CLOUD_RUN_TASK_COUNT: '4',
        CLOUD_RUN_TASK_ATTEMPT: '0',
      },
    });
    rig.runner.exit(rig.container(name, 2), { exitCode: 0 });
    expect((await rig.ended(name)).state).toBe('SUCCEEDED');
  });
});
