import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Executor } from '../../src/executor/executor.ts';
import { Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

/** Whether it has drained, as time passes. */
function drain(executor: Executor): { over: boolean } {
  const state = { over: false };
  void executor.drain().then(() => (state.over = true));
  return state;
}

it('claims nothing more, waits for what runs and for its removal, and leaves the rest in the store', async () => {
  rig.runner.script = () => ({ exitAt: 5_000 });
  const executor = await rig.started({}, { maxRunningTasks: 2 });
  const name = await rig.create({ taskCount: 4, parallelism: 0 });
  await rig.running(name, 1);
  const draining = drain(executor);
  const later = await rig.create();
  executor.wake();
  await rig.clock.advance(2_000);
  expect(executor.status()).toMatchObject({ state: 'draining', runningTasks: 2 });
  expect(draining.over).toBe(false);
  await rig.until(() => draining.over);
  expect(await rig.store.getExecution(name)).toMatchObject({ counters: { running: 0, succeeded: 2 } });
  expect(await rig.store.getExecution(later)).toMatchObject({ state: 'PENDING' });
  expect(rig.runner.names()).toEqual([]);
  await executor.stop();
  await rig.started();
  expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await rig.ended(later)).toMatchObject({ state: 'SUCCEEDED' });
});

it('leaves the retry of what fails meanwhile to the next process', async () => {
  rig.runner.script = ({ key }) => ({ exitAt: 500, exit: { exitCode: key.attempt === 0 ? 3 : 0 } });
  const executor = await rig.started();
  const name = await rig.create({ maxRetries: 1 });
  await rig.running(name);
  const draining = drain(executor);
  await rig.until(() => draining.over);
  await rig.clock.advance(5_000);
  expect(await rig.store.listAttempts(name, 0)).toHaveLength(1);
  await executor.stop();
  await rig.started();
  expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED', counters: { retried: 1 } });
});

it('still cancels what runs', async () => {
  rig.runner.script = () => ({});
  const executor = await rig.started();
  const name = await rig.create();
  await rig.running(name);
  const draining = drain(executor);
  await rig.store.cancelExecution(name, 'ann');
  executor.wakeStops();
  expect(await rig.ended(name)).toMatchObject({ state: 'CANCELLED' });
  await rig.until(() => draining.over);
});

it('has nothing to wait for where nothing runs, or where another gateway has the engine', async () => {
  const executor = await rig.started();
  rig.runner.script = () => ({});
  const other = rig.executor();
  await other.start();
  await rig.until(() => other.status().state === 'waiting');
  const name = await rig.create();
  await rig.running(name);
  const drains = drain(other);
  await settle();
  expect(drains.over).toBe(true);
  await rig.store.cancelExecution(name, 'ann');
  executor.wakeStops();
  await rig.ended(name);
  await rig.clock.advance(1_000);
  const idle = drain(executor);
  await settle();
  expect(idle.over).toBe(true);
});

it('waits for an engine that is away with tasks on it, until it is stopped', async () => {
  rig.runner.script = () => ({});
  const first = await rig.started();
  const name = await rig.create();
  await rig.running(name);
  await first.stop();
  rig.runner.goDown();
  const executor = rig.executor();
  await executor.start();
  const draining = drain(executor);
  await rig.clock.advance(60_000);
  expect(draining.over).toBe(false);
  const stopping = executor.stop();
  await rig.until(() => draining.over);
  await stopping;
});
