import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deferred } from '../../src/lib/deferred.ts';
import { Rig } from '../support/executor-rig.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

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

  it('nor does it where the start is only stored after it', async () => {
    const stored = deferred<void>();
    const store = new Proxy(rig.store, {
      get: (inner, key) => {
        const value: unknown = Reflect.get(inner, key);
        if (typeof value !== 'function') return value;
        if (key !== 'attemptStarted') return value.bind(inner) as unknown;
        return async (...args: Parameters<typeof inner.attemptStarted>) => {
          await stored.promise;
          return inner.attemptStarted(...args);
        };
      },
    });
    await rig.started({ store });
    const name = await rig.create({ timeoutMs: 20_000, gracePeriodMs: 1_000, maxRetries: 0 });
    await rig.until(() => rig.runner.countOf('ensure') === 1);
    await rig.clock.advance(5_000);
    rig.clock.set(rig.clock.now() + 60_000);
    stored.resolve();
    await rig.running(name);
    await rig.clock.advance(10_000);
    expect(await rig.attempt(name)).toMatchObject({ state: 'RUNNING', stopReason: null });
    await rig.clock.advance(6_000);
    expect(await rig.attempt(name)).toMatchObject({ stopReason: 'timeout' });
  });
});
