import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { JobSpec } from '../../src/core/job.ts';
import type { ExecutorStore } from '../../src/core/store.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { Rig } from '../support/executor-rig.ts';

const GIB = 1024 ** 3;
const NO_CAP = { maxRunningTasks: Infinity, admission: { cpuOvercommit: 8, memoryReserveBytes: 0 } };
let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
  rig.runner.host = { cpus: 2, memoryBytes: 8 * GIB };
  rig.runner.script = ({ memoryBytes }) => ({ exitAt: memoryBytes > GIB ? 20_000 : 1000 });
});
afterEach(() => rig.close());
const state = async (name: string) => (await rig.store.getExecution(name))?.state;

it('gives out the memory of the host once, without a cap of tasks', async () => {
  await rig.started({}, NO_CAP);
  const wide = await rig.create({ taskCount: 40, parallelism: 0, memoryBytes: GIB / 2 });
  await rig.ended(wide);
  expect(rig.runner.maxRunning).toBe(16);
});

it('leaves the reserve free, and gives each core out as often as is set', async () => {
  const admission = { cpuOvercommit: 2, memoryReserveBytes: 5 * GIB };
  const executor = await rig.started({}, { ...NO_CAP, admission });
  await rig.ended(await rig.create({ taskCount: 9, parallelism: 0, memoryBytes: GIB }));
  expect(rig.runner.maxRunning).toBe(3);
  rig.runner.maxRunning = 0;
  await rig.ended(await rig.create({ taskCount: 30, parallelism: 0, cpu: 0.5, memoryBytes: GIB / 8 }));
  expect(rig.runner.maxRunning).toBe(8);
  expect(executor.status()).toMatchObject({
    memory: { total: 3 * GIB, free: 3 * GIB },
    cpu: { total: 4, free: 4 },
    maxRunningTasks: null,
  });
});

it('charges what an earlier process has started', async () => {
  const first = await rig.started({}, NO_CAP);
  const old = await rig.create({ memoryBytes: 6 * GIB });
  await rig.running(old);
  await first.stop();
  const second = await rig.started({}, NO_CAP);
  expect(second.status().memory).toEqual({ total: 8 * GIB, free: 2 * GIB });
  const next = await rig.create({ memoryBytes: 3 * GIB });
  await rig.clock.advance(5000);
  expect(await state(next)).toBe('PENDING');
  await rig.ended(old);
  await rig.running(next);
});

it('starts what waits for room as soon as its room is free, not at the next poll', async () => {
  await rig.started({}, NO_CAP);
  const [a, b] = [await rig.create({ memoryBytes: 6 * GIB }), await rig.create({ memoryBytes: 6 * GIB })];
  await rig.ended(a);
  await rig.running(b);
  const [first, second] = [await rig.attempt(a), await rig.attempt(b)];
  expect(second.createTime - (first.endTime ?? 0)).toBeLessThan(100);
});

it('starts the next of a job with maxConcurrentExecutions as soon as one has ended', async () => {
  const limit = { kind: 'job', name: 'work', etag: '1', maxConcurrentExecutions: 1 } as const;
  await rig.store.syncDefinitions([limit]);
  await rig.started({}, NO_CAP);
  const spec = { maxConcurrentExecutions: 1 };
  const [a, b] = [await rig.create(spec), await rig.create(spec)];
  await rig.ended(b);
  const [first, second] = [await rig.attempt(a), await rig.attempt(b)];
  expect(rig.runner.maxRunning).toBe(1);
  expect(second.createTime - (first.endTime ?? 0)).toBeLessThan(100);
});

it('sees the room that becomes free while a claim is under way', async () => {
  const held: Promise<void>[] = [];
  const claimAttempts: ExecutorStore['claimAttempts'] = async (params) => {
    const result = await rig.store.claimAttempts(params);
    await Promise.all(held);
    return result;
  };
  const store = new Proxy(rig.store, {
    get: (inner, key): unknown => {
      const value: unknown = key === 'claimAttempts' ? claimAttempts : Reflect.get(inner, key);
      return typeof value === 'function' ? (value.bind(inner) as unknown) : value;
    },
  });
  // Between two polls.
  rig.runner.script = () => ({ exitAt: 20_400 });
  const executor = await rig.started({ store }, NO_CAP);
  const a = await rig.create({ memoryBytes: 6 * GIB });
  await rig.running(a);
  await rig.clock.advance(20_300);
  const answer = deferred<void>();
  held.push(answer.promise);
  const b = await rig.create({ memoryBytes: 6 * GIB });
  executor.wake();
  await rig.until(async () => (await state(a)) === 'SUCCEEDED', 10);
  answer.resolve();
  await rig.running(b);
  const [first, second] = [await rig.attempt(a), await rig.attempt(b)];
  expect(second.createTime - (first.endTime ?? 0)).toBeLessThan(100);
});

describe('a turn that is free', () => {
  const limit = (maxConcurrentExecutions: number) =>
    rig.store.syncDefinitions([{ kind: 'job', name: 'work', etag: '1', maxConcurrentExecutions }]);

  it('is taken at once also where the limit is younger than the execution that ended', async () => {
    await rig.started({}, NO_CAP);
    const a = await rig.create();
    await limit(1);
    const b = await rig.create();
    await rig.ended(b);
    const [first, second] = [await rig.attempt(a), await rig.attempt(b)];
    expect(second.createTime - (first.endTime ?? 0)).toBeLessThan(100);
  });

  it('is taken at once where the one that had it was cancelled before its start', async () => {
    await limit(2);
    const executor = await rig.started({}, NO_CAP);
    await rig.running(await rig.create({ memoryBytes: 6 * GIB }));
    const [waiting, next] = [await rig.create({ memoryBytes: 6 * GIB }), await rig.create()];
    await rig.clock.advance(1050);
    await rig.store.cancelExecution(waiting, 'ann');
    const then = rig.clock.now();
    executor.wakeStops();
    await rig.running(next);
    expect((await rig.attempt(next)).createTime - then).toBeLessThan(100);
  });
});

it('asks for nothing more when an execution has ended and nothing waits', async () => {
  await rig.started({}, NO_CAP);
  const name = await rig.create();
  await rig.running(name);
  const claim = vi.spyOn(rig.store, 'claimAttempts');
  rig.runner.hinting = true;
  await rig.ended(name);
  // The poll alone, once a second.
  const polls = claim.mock.calls.length;
  await rig.clock.advance(3000);
  expect(claim.mock.calls.length - polls).toBe(3);
});

describe('a large task', () => {
  /** A small one each 100 ms, of 1 GiB for a second: never fewer than six of them at a time, if all may start. */
  async function flood(seconds: number, spec: Partial<JobSpec> = {}): Promise<string[]> {
    const names: string[] = [];
    for (let i = 0; i < seconds * 10; i++) {
      names.push(await rig.create({ memoryBytes: GIB, cpu: 0.1, timeoutMs: 600_000, ...spec }));
      await rig.clock.advance(100);
    }
    return names;
  }

  it('is not starved by small ones that never end coming', async () => {
    await rig.started({}, NO_CAP);
    await flood(2);
    const large = await rig.create({ memoryBytes: 7 * GIB });
    const names = await flood(4);
    expect(await state(large)).toBe('RUNNING');
    // One at a time fits beside it.
    const states = await Promise.all(names.map(state));
    expect(states.filter((one) => one === 'PENDING').length).toBeGreaterThan(names.length - 6);
  });

  it('lets those go ahead meanwhile that are over before it could start', async () => {
    rig.runner.script = ({ memoryBytes }) => ({ exitAt: memoryBytes === 4 * GIB ? 300_000 : 1000 });
    await rig.started({}, NO_CAP);
    const blocker = await rig.create({ memoryBytes: 4 * GIB, timeoutMs: 600_000 });
    await rig.running(blocker);
    const large = await rig.create({ memoryBytes: 7 * GIB });
    const short = await flood(1, { timeoutMs: 60_000 });
    for (const name of short) await rig.ended(name);
    expect(await state(large)).toBe('PENDING');
    const view = rig.executorView();
    expect(view.reserved?.execution).toBe(large);
    await rig.ended(blocker);
    await rig.running(large);
  });
});

it('fails at once what can never fit, also while no slot is free', async () => {
  rig.runner.script = () => ({ exitAt: 300_000 });
  await rig.started({}, { ...NO_CAP, maxRunningTasks: 1 });
  const long = await rig.create();
  await rig.running(long);
  const large = await rig.create({ memoryBytes: 9 * GIB });
  await rig.clock.advance(1100);
  expect(await rig.store.getExecution(large)).toMatchObject({ state: 'FAILED', reason: 'NEVER_FITS' });
  expect(rig.runner.countOf('prepare')).toBe(1);
});
