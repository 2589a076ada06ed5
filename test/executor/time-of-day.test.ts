import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import type { Attempt } from '../../src/core/execution.ts';
import type { Executor } from '../../src/executor/executor.ts';
import { deferred } from '../../src/lib/deferred.ts';
import type { SqliteStore } from '../../src/stores/sqlite/store.ts';
import { Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

async function cancel(executor: Executor, name: string): Promise<void> {
  await rig.store.cancelExecution(name, 'test');
  executor.wakeStops();
}

/** The store, which stores a start as `by` says. */
function attemptStartedBy(by: (inner: () => Promise<Attempt>) => Promise<Attempt>): SqliteStore {
  return new Proxy(rig.store, {
    get: (inner, key) => {
      const value: unknown = Reflect.get(inner, key);
      if (typeof value !== 'function') return value;
      if (key !== 'attemptStarted') return value.bind(inner) as unknown;
      return (...args: Parameters<typeof inner.attemptStarted>) => by(() => inner.attemptStarted(...args));
    },
  });
}

describe('a time of day that is set while a task runs', () => {
  it.each([
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ])('does not move its timeout, which counts how long it runs: %s', async (_, jumpMs) => {
    await rig.started();
    const name = await rig.create({ timeoutMs: 20_000, gracePeriodMs: 1_000, maxRetries: 0 });
    await rig.running(name);
    await rig.clock.advance(5_000);
    rig.clock.set(rig.clock.now() + jumpMs);
    rig.runner.emit(rig.container(name), 'stdout', 'still at work');
    // The sweep and the engine's events look at it too.
    rig.runner.goDown();
    await rig.clock.advance(3_000);
    rig.runner.goUp();
    await rig.clock.advance(9_000);
    expect(await rig.attempt(name)).toMatchObject({ state: 'RUNNING', stopReason: null });
    await rig.clock.advance(5_000);
    expect(await rig.attempt(name)).toMatchObject({ stopReason: 'timeout' });
    expect((await rig.ended(name)).state).toBe('FAILED');
  });

  it.each([
    ['forward', 60_000],
    ['back', -60_000],
  ])('nor does it where the start is only stored after it: %s', async (_, jumpMs) => {
    const stored = deferred<void>();
    const store = attemptStartedBy(async (inner) => {
      await stored.promise;
      return inner();
    });
    await rig.started({ store });
    const name = await rig.create({ timeoutMs: 20_000, gracePeriodMs: 1_000, maxRetries: 0 });
    await rig.until(() => rig.runner.countOf('ensure') === 1);
    await rig.clock.advance(5_000);
    rig.clock.set(rig.clock.now() + jumpMs);
    stored.resolve();
    await rig.running(name);
    await rig.clock.advance(10_000);
    expect(await rig.attempt(name)).toMatchObject({ state: 'RUNNING', stopReason: null });
    await rig.clock.advance(6_000);
    expect(await rig.attempt(name)).toMatchObject({ stopReason: 'timeout' });
  });

  it('nor where it is set while the engine starts it', async () => {
    const answered = deferred<void>();
    const ensure = rig.runner.ensure.bind(rig.runner);
    vi.spyOn(rig.runner, 'ensure').mockImplementationOnce(async (...args) => {
      const ensured = await ensure(...args);
      await answered.promise;
      return ensured;
    });
    const executor = await rig.started();
    const name = await rig.create({ timeoutMs: 20_000, gracePeriodMs: 1_000, maxRetries: 0 });
    await rig.until(() => rig.runner.countOf('ensure') === 1);
    const set = rig.clock.now() + 3_600_000;
    rig.clock.set(set);
    answered.resolve();
    await rig.until(() => !executor.holdsEngine());
    await rig.until(() => executor.holdsEngine());
    await rig.running(name);
    await rig.clock.advance(set + 16_000 - rig.clock.now());
    expect(await rig.attempt(name)).toMatchObject({ state: 'RUNNING', stopReason: null });
    await rig.clock.advance(6_000);
    expect(await rig.attempt(name)).toMatchObject({ stopReason: 'timeout' });
  });

  it.each([
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ])('takes nothing of the grace of a task that is told to end: %s', async (_, jumpMs) => {
    rig.runner.script = () => ({ onTerm: { code: 0, afterMs: 25_000 } });
    const executor = await rig.started();
    const name = await rig.create();
    await rig.settledIn(name);
    await cancel(executor, name);
    await rig.clock.advance(5_000);
    const stop = vi.spyOn(rig.runner, 'stop');
    rig.clock.set(rig.clock.now() + jumpMs);
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ state: 'CANCELLED', exitCode: 0 });
    // Where that ended the session, the next one gives what is left.
    const graces = stop.mock.calls.map(([, graceMs]) => graceMs);
    expect(graces.filter((graceMs) => graceMs < 10_000 || graceMs > 24_999)).toEqual([]);
    expect(graces).toHaveLength(jumpMs > 0 ? 1 : 0);
  });

  it('leaves it measured as before', async () => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    await rig.clock.advance(20_000);
    rig.clock.set(rig.clock.now() - 3_600_000);
    const before = rig.runner.countOf('usage');
    await rig.clock.advance(60_000);
    expect(rig.runner.countOf('usage') - before).toBeGreaterThanOrEqual(10);
  });

  it('does not hide that the engine ended it', async () => {
    await rig.started();
    const name = await rig.create({ maxRetries: 0 });
    await rig.settledIn(name);
    rig.runner.goDown();
    await rig.clock.advance(2_000);
    rig.runner.exit(rig.container(name), { exitCode: 137 });
    rig.clock.set(rig.clock.now() - 60_000);
    rig.runner.goUp();
    await rig.until(async () => (await rig.store.listAttempts(name, 0)).length === 2);
    const [first] = await rig.store.listAttempts(name, 0);
    expect(first).toMatchObject({ state: 'FAILED', reason: 'ENGINE_RESTARTED' });
  });
});

it('an engine that was away when the time of day was set forward may have ended what ended then', async () => {
  const executor = await rig.started();
  const name = await rig.create({ maxRetries: 0 });
  await rig.settledIn(name);
  rig.runner.goDown();
  await rig.clock.advance(2_000);
  rig.runner.exit(rig.container(name), { exitCode: 137 });
  rig.clock.set(rig.clock.now() + 120_000);
  await rig.until(() => !executor.holdsEngine());
  rig.runner.goUp();
  await rig.until(async () => (await rig.store.listAttempts(name, 0)).length === 2);
  const [first] = await rig.store.listAttempts(name, 0);
  expect(first).toMatchObject({ state: 'FAILED', reason: 'ENGINE_RESTARTED' });
  // It is back since.
  await rig.settledIn(name);
  await rig.clock.advance(60_000);
  rig.runner.exit(rig.container(name, 0, 1), { exitCode: 137 });
  await rig.ended(name);
  expect(await rig.attempt(name)).toMatchObject({ attempt: 1, reason: 'NON_ZERO_EXIT_CODE' });
});

it('a container that was started though the engine said no has its timeout', async () => {
  rig.runner.fail('ensure', new TappetError('ENGINE_REFUSED', 'It says no.'), { after: true });
  await rig.started();
  const name = await rig.create({ timeoutMs: 20_000, maxRetries: 0 });
  await rig.running(name);
  await rig.clock.advance(21_000);
  expect(await rig.attempt(name)).toMatchObject({ stopReason: 'timeout' });
});

it('a start that is stored although the store fails then has its timeout', async () => {
  rig.runner.fail('ensure', new TappetError('ENGINE_REFUSED', 'It says no.'), { after: true });
  const store = attemptStartedBy(async (inner) => {
    await inner();
    throw new Error('a bug');
  });
  await rig.started({ store });
  const name = await rig.create({ timeoutMs: 20_000, maxRetries: 0 });
  await rig.running(name);
  await rig.clock.advance(26_000);
  expect(await rig.attempt(name)).toMatchObject({ stopReason: 'timeout' });
});

it('no timer is left of what has ended', async () => {
  await rig.started();
  await rig.clock.advance(5_000);
  const before = rig.clock.pending;
  for (let i = 0; i < 3; i++) {
    const name = await rig.create();
    await rig.running(name);
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    await rig.ended(name);
  }
  await rig.clock.advance(5_000);
  expect(rig.clock.pending).toBe(before);
});

describe('a stop', () => {
  it('that comes as soon as it runs is told to it when it has run for half a second, with all of its grace', async () => {
    rig.runner.script = () => ({ onTerm: { code: 0, afterMs: 29_900 } });
    const executor = await rig.started();
    const name = await rig.create();
    await rig.running(name);
    await cancel(executor, name);
    const { startTime } = await rig.attempt(name);
    await rig.clock.advance((startTime ?? 0) + 499 - rig.clock.now());
    expect(rig.runner.countOf('stop')).toBe(0);
    await rig.clock.advance(1);
    expect(rig.runner.countOf('stop')).toBe(1);
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ state: 'CANCELLED', exitCode: 0 });
  });

  it('is not sent to what ends before it would be, and is not blamed for its end', async () => {
    rig.runner.script = () => ({ exitAt: 300, exit: { exitCode: 3 } });
    const executor = await rig.started();
    const name = await rig.create();
    await rig.running(name);
    await cancel(executor, name);
    await settle();
    const words = [...executor.admission().begun(name).values()];
    expect(words).toEqual([expect.stringMatching(/^is asked to end in a moment, and is killed if/)]);
    await rig.ended(name);
    await rig.clock.advance(60_000);
    expect(rig.runner.countOf('stop')).toBe(0);
    const message = 'Cancelled; it ended by itself, with exit code 3, before it was told to.';
    expect(await rig.attempt(name)).toMatchObject({ state: 'CANCELLED', message });
  });

  it('without a grace kills at once', async () => {
    rig.runner.script = () => ({ onTerm: null });
    const executor = await rig.started();
    const name = await rig.create({ gracePeriodMs: 0 });
    await rig.running(name);
    await cancel(executor, name);
    await settle();
    expect(rig.runner.countOf('stop')).toBe(1);
  });

  it('has all of its grace where the engine was away for longer when it was asked for', async () => {
    rig.runner.script = () => ({ onTerm: { code: 0, afterMs: 25_000 } });
    const executor = await rig.started();
    const name = await rig.create();
    await rig.settledIn(name);
    rig.runner.goDown();
    await rig.clock.advance(2_000);
    await cancel(executor, name);
    await rig.clock.advance(40_000);
    rig.runner.goUp();
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ state: 'CANCELLED', exitCode: 0 });
  });

  it('that no engine has taken leaves its grace whole', async () => {
    rig.runner.script = () => ({ onTerm: { code: 0, afterMs: 25_000 } });
    const executor = await rig.started();
    const name = await rig.create();
    await rig.settledIn(name);
    const stop = vi.spyOn(rig.runner, 'stop');
    stop.mockImplementationOnce(() => {
      rig.runner.goDown();
      return Promise.reject(new TappetError('ENGINE_UNAVAILABLE', 'It is away.'));
    });
    await cancel(executor, name);
    await rig.clock.advance(40_000);
    rig.clock.set(rig.clock.now() + 60_000);
    await rig.until(() => !executor.holdsEngine());
    rig.runner.goUp();
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ state: 'CANCELLED', exitCode: 0 });
    expect(stop.mock.calls.map(([, graceMs]) => graceMs)).toEqual([30_000, 30_000]);
  });

  it('goes on in the next gateway; what ends then has the exit code that it ended with', async () => {
    rig.runner.script = () => ({ onTerm: { code: 0, afterMs: 25_000 } });
    const first = await rig.started();
    const name = await rig.create();
    await rig.settledIn(name);
    await cancel(first, name);
    await rig.clock.advance(20_000);
    await first.stop();
    await rig.started();
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ state: 'CANCELLED', exitCode: 0 });
  });
});
