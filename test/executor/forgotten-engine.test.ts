import { afterEach, beforeEach, expect, it } from 'vitest';
import { OrphanContainers } from '../../src/maintenance/orphan-containers.ts';
import { TappetError } from '../../src/core/errors.ts';
import { Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const forget = () => rig.store.forgetEngine({ engine: 'fake', by: 'ann' });
const orphans = () =>
  new OrphanContainers({ store: rig.store, clock: rig.clock, log, runner: () => rig.runner }).runOnce();

/** An execution that runs on an engine which then dies, the executor having left it as `engines forget` does. */
async function leftBehind(spec: Parameters<Rig['create']>[0] = {}): Promise<string> {
  const executor = await rig.started();
  const name = await rig.create(spec);
  await rig.running(name);
  rig.runner.goDown();
  await rig.until(() => executor.status().state === 'connecting');
  await stopped(executor);
  return name;
}

async function stopped(executor: { stop(): Promise<void> }): Promise<void> {
  let done = false;
  void executor.stop().then(() => (done = true));
  await rig.until(() => done);
}

it('a process that ends before the engine was forgotten has lost nothing: the next one adopts', async () => {
  const name = await leftBehind();
  rig.runner.goUp();
  await rig.started();
  rig.runner.exit(rig.container(name), { exitCode: 0 });
  expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
  expect(rig.runner.starts.get(rig.container(name))).toBe(1);
});

it('an engine that comes back later has what runs there removed as soon as it is taken; what it did is not taken, and it ran once', async () => {
  const name = await leftBehind({ maxRetries: 5 });
  expect(await forget()).toEqual({ outcome: 'forgotten', endedAttempts: 1 });
  expect(rig.runner.statusOf(rig.container(name))).toMatchObject({ state: 'running' });
  rig.runner.goUp();
  await rig.started();
  await settle();
  expect(rig.runner.names()).toEqual([]);
  expect(rig.logLines.filter((line) => line.includes('which still ran'))).toHaveLength(1);
  await rig.clock.advance(60_000);
  expect(rig.runner.starts).toEqual(new Map([[rig.container(name), 1]]));
  expect(await rig.store.listAttempts(name, 0)).toMatchObject([
    { state: 'FAILED', reason: 'CONTAINER_LOST', exitCode: null },
  ]);
  expect(await rig.store.getExecution(name)).toMatchObject({ state: 'FAILED', reason: 'CONTAINER_LOST' });
});

it('what could not be removed then is left to maintenance, and keeps nobody', async () => {
  const name = await leftBehind();
  await forget();
  rig.runner.goUp();
  const refuse = () => Promise.reject(new TappetError('ENGINE_REFUSED', 'busy'));
  const runner = new Proxy(rig.runner, {
    get: (inner, key) => {
      const value: unknown = Reflect.get(inner, key, inner);
      return key === 'remove' ? refuse : typeof value === 'function' ? value.bind(inner) : value;
    },
  });
  await rig.started({ runner });
  const next = await rig.create();
  await rig.running(next);
  expect(rig.logLines.filter((line) => line.includes('which nobody needs, could not be'))).toHaveLength(1);
  expect(rig.runner.statusOf(rig.container(name))).toMatchObject({ state: 'running' });
  expect(await orphans()).toBe(1);
  expect(rig.runner.names()).toEqual([rig.container(next)]);
});

it('one that has ended there meanwhile is removed as soon as the engine is taken again, unread', async () => {
  const name = await leftBehind();
  await forget();
  rig.runner.exit(rig.container(name), { exitCode: 0 });
  rig.runner.goUp();
  await rig.started();
  await rig.until(() => rig.runner.names().length === 0);
  expect(await rig.store.getExecution(name)).toMatchObject({ state: 'FAILED' });
});

it('a process that was suspended while in charge goes on with nothing', async () => {
  const first = await rig.started();
  const name = await rig.create();
  await rig.running(name);
  // Its lease is over for everybody else, and it does not know.
  await rig.store.releaseEngine('fake', 1);
  await forget();
  rig.runner.calls.length = 0;
  rig.runner.exit(rig.container(name), { exitCode: 0 });
  await rig.until(() => rig.logLines.some((line) => line.includes('No longer in charge')));
  expect(rig.runner.calls.filter(({ method }) => method === 'ensure' || method === 'stop')).toEqual([]);
  expect(await rig.store.getExecution(name)).toMatchObject({ state: 'FAILED', reason: 'CONTAINER_LOST' });
  expect(first.status().state).not.toBe('off');
});

it('what of the execution has not started runs when there is an engine again', async () => {
  const name = await leftBehind({ taskCount: 2, parallelism: 1 });
  await forget();
  rig.runner.goUp();
  rig.runner.script = () => ({ exitAt: 10 });
  await rig.started();
  expect(await rig.ended(name)).toMatchObject({ state: 'FAILED', counters: { succeeded: 1, failed: 1 } });
  expect(rig.runner.starts).toEqual(
    new Map([
      [rig.container(name), 1],
      [rig.container(name, 1), 1],
    ]),
  );
});
