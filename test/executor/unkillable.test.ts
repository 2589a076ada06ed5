import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { waitText } from '../../src/executor/waiting.ts';
import { Rig } from '../support/executor-rig.ts';

const GIB = 1024 ** 3;
const SETTINGS = { maxRunningTasks: Infinity, admission: { cpuOvercommit: 8, memoryReserveBytes: 0 } };
const GRACE_MS = 30_000;
const KILLED = 'was killed, and has not ended yet';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
  rig.runner.host = { cpus: 2, memoryBytes: 8 * GIB };
});
afterEach(() => rig.close());

const found = async (name: string) => {
  const execution = await rig.store.getExecution(name);
  if (execution === undefined) throw new Error(`there is no ${name}`);
  const view = rig.executorView();
  return { state: execution.state, says: waitText(execution, view), task: view.begun(name).get(0) ?? null };
};

it('what nothing ends keeps its attempt open and its room, says so, and is cancelled when the engine lets it go', async () => {
  rig.runner.script = ({ memoryBytes }) =>
    memoryBytes > 4 * GIB ? { onTerm: null, unkillable: true } : { exitAt: 1000 };
  const executor = await rig.started({}, SETTINGS);
  const refused = new TappetError('ENGINE_REFUSED', 'The engine will not: device busy.');
  const remove = vi.spyOn(rig.runner, 'remove').mockRejectedValue(refused);
  const stuck = await rig.create({ memoryBytes: 6 * GIB, gracePeriodMs: GRACE_MS, maxRetries: 3 });
  await rig.settledIn(stuck);
  const free = 2 * GIB;
  expect(executor.status()).toMatchObject({ memory: { free } });
  await rig.store.cancelExecution(stuck, 'test');
  executor.wakeStops();
  const next = await rig.create({ memoryBytes: 3 * GIB });

  await rig.clock.advance(GRACE_MS + 600_000);
  expect(await rig.attempt(stuck)).toMatchObject({ state: 'RUNNING', stopReason: 'cancel', endTime: null });
  const words = `${KILLED}; the engine last said: The engine will not: device busy`;
  expect(await found(stuck)).toMatchObject({ says: words, task: words });
  expect((await rig.store.getExecution(stuck))?.completionTime).toBeNull();
  expect(executor.status()).toMatchObject({ state: 'ready', runningTasks: 1, memory: { free } });
  expect(await found(next)).toEqual({
    state: 'PENDING',
    says: 'waits for 3 GiB of memory: 2 GiB of 8 GiB free',
    task: null,
  });
  // Asked again, ever more seldom.
  expect(remove.mock.calls.length).toBeGreaterThan(3);
  expect(remove.mock.calls.length).toBeLessThan(10);

  remove.mockRestore();
  expect(await rig.ended(stuck)).toMatchObject({ state: 'CANCELLED' });
  expect(await rig.store.listAttempts(stuck, 0)).toMatchObject([{ state: 'CANCELLED', exitCode: null }]);
  expect(await rig.ended(next)).toMatchObject({ state: 'SUCCEEDED' });
  expect(executor.status()).toMatchObject({ runningTasks: 0, memory: { free: 8 * GIB } });
});
