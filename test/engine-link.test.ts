import { afterEach, expect, it } from 'vitest';
import { EngineLink, engineName } from '../src/engine-link.ts';
import type { EngineInUse } from '../src/core/store.ts';
import type { Executor } from '../src/executor/executor.ts';
import { fakeEngine } from './support/fake-engine.ts';
import type { FakeEngine } from './support/fake-engine.ts';
import { FakeLog } from './support/fake-log.ts';
import { FakeRunner } from './support/fake-runner.ts';
import { ManualClock } from './support/manual-clock.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** A link whose DOCKER_HOST is `engine`; what it takes into use stands in `taken`. */
function linkTo(engine: FakeEngine, inUse: () => EngineInUse[]) {
  const path = engine.endpoint.kind === 'unix' ? engine.endpoint.path : '';
  const taken: string[] = [];
  const clock = new ManualClock();
  const log = new FakeLog();
  const executor = { start: async () => {}, stop: async () => {}, wake: () => {}, holdsEngine: () => true };
  const link = new EngineLink({
    env: { DOCKER_HOST: `unix://${path}` },
    clock,
    log,
    store: { enginesInUse: async () => inUse(), forgetEngine: async () => ({ outcome: 'held' }) },
    makeRunner: async ({ endpoint }) => {
      taken.push(engineName(endpoint));
      return new FakeRunner(clock);
    },
    makeExecutor: () => executor as unknown as Executor,
  });
  open.push({ close: () => link.stop() });
  return { link, clock, log, taken, name: engineName(engine.endpoint) };
}
async function anEngine(): Promise<FakeEngine> {
  const engine = await fakeEngine({});
  open.push(engine);
  return engine;
}

it('takes no other engine while attempts are open on one, says so, and takes it when they are not', async () => {
  const engine = await anEngine();
  let inUse = [{ engine: '/run/away.sock', openAttempts: 2 }];
  const { link, clock, log, taken, name } = linkTo(engine, () => inUse);
  await link.start();
  expect({ taken, calls: engine.calls }).toEqual({ taken: [], calls: [] });
  const message =
    /^2 attempts run on \/run\/away\.sock; waiting for it \(.*another engine\)\. Start that engine/;
  expect(link.status()).toEqual({ state: 'none', message: expect.stringMatching(message) as unknown });
  expect(log.lines).toEqual([{ level: 'warn', message: link.status()['message'], fields: {} }]);
  await clock.advance(5_000);
  expect(taken).toEqual([]);
  inUse = [];
  await clock.advance(5_000);
  await expect.poll(() => taken).toEqual([name]);
});

it('takes the engine that has the attempts', async () => {
  const engine = await anEngine();
  const inUse = { engine: engineName(engine.endpoint), openAttempts: 1 };
  const { link, taken, name } = linkTo(engine, () => [inUse]);
  await link.start();
  expect(taken).toEqual([name]);
});

it('names an engine by where it is', () => {
  expect(engineName({ kind: 'unix', path: '/tmp/../tmp/none.sock' })).toBe('/tmp/none.sock');
  expect(engineName({ kind: 'tcp', host: 'h', port: 2375, tlsDir: null })).toBe('tcp://h:2375');
});
