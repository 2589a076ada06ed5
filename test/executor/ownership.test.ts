import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { EngineGate } from '../../src/executor/engine-gate.ts';
import { Outages } from '../../src/executor/outages.ts';
import { RunTimes } from '../../src/executor/run-times.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { LEASE_MS, momentOf, Session, SessionOver } from '../../src/executor/session.ts';
import { Stopper } from '../../src/executor/stopper.ts';
import { DoomedPorts, Rig } from '../support/executor-rig.ts';
import { pause } from '../../src/lib/service.ts';
import { settle } from '../support/manual-clock.ts';

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined };

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

describe('ownership of an engine', () => {
  it('is kept by one executor; another waits and says so, then takes over when the first stops', async () => {
    const first = await rig.started();
    const second = rig.executor();
    await second.start();
    await rig.clock.advance(60_000);
    expect(first.status().state).toBe('ready');
    expect(second.status()).toMatchObject({ state: 'waiting' });
    expect(second.status().message).toMatch(/Another gateway/);
    expect(second.holdsEngine()).toBe(false);
    expect(rig.logLines.filter((line) => line.includes('Another gateway'))).toHaveLength(1);
    await first.stop();
    await rig.until(() => second.status().state === 'ready');
    expect(second.holdsEngine()).toBe(true);
  });

  it('that was lost ends everything at the first write: no container is touched, and it waits again', async () => {
    const first = await rig.started();
    const name = await rig.create();
    await rig.running(name);
    // Another gateway, for which the lease looked over.
    await rig.store.releaseEngine('fake', 1);
    const lease = await rig.store.acquireEngine('fake', 'other', LEASE_MS);
    expect(lease).toMatchObject({ held: true, epoch: 2 });
    rig.runner.calls.length = 0;
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    for (let i = 0; i < 6; i++) {
      await rig.clock.advance(5_000);
      await rig.store.renewEngine('fake', 2, LEASE_MS);
    }
    expect(first.status().state).toBe('waiting');
    expect(rig.runner.calls.filter(({ method }) => method !== 'inspect')).toEqual([]);
    expect(await rig.attempt(name)).toMatchObject({ state: 'RUNNING' });
    expect(rig.logLines.filter((line) => line.includes('No longer in charge'))).toHaveLength(1);
    await rig.store.releaseEngine('fake', 2);
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(rig.runner.starts.get(rig.container(name))).toBe(1);
  });

  it('goes to another once its owner has been silent for a whole lease, by a clock that nobody sets', async () => {
    await rig.store.acquireEngine('fake', 'other', LEASE_MS);
    const executor = rig.executor();
    await executor.start();
    await rig.clock.advance(4_000);
    // Ahead and back again: neither makes the owner silent for longer.
    rig.clock.set(rig.clock.now() + 3_600_000);
    await rig.clock.advance(4_000);
    await rig.store.renewEngine('fake', 1, LEASE_MS);
    rig.clock.set(rig.clock.now() - 7_200_000);
    await rig.clock.advance(LEASE_MS);
    expect(executor.status().state).toBe('waiting');
    await rig.clock.advance(2_000);
    expect(executor.status().state).toBe('ready');
  });

  it('is silent only from when that was heard: its answer may have come from a store that was busy', async () => {
    await rig.store.acquireEngine('fake', 'other', LEASE_MS);
    const acquire = rig.store.acquireEngine.bind(rig.store);
    vi.spyOn(rig.store, 'acquireEngine').mockImplementationOnce(async (...args) => {
      await pause(rig.clock, 9_000, new AbortController().signal);
      return acquire(...args);
    });
    const executor = rig.executor();
    await executor.start();
    await rig.clock.advance(8_999);
    await rig.store.renewEngine('fake', 1, LEASE_MS);
    await rig.clock.advance(LEASE_MS);
    expect(executor.status().state).toBe('waiting');
    await rig.clock.advance(2_000);
    expect(executor.status().state).toBe('ready');
  });

  it.each([
    ['it cannot be renewed', () => Promise.reject(new Error('no disk')), 'no disk'],
    ['the store does not answer', () => new Promise<never>(() => undefined), 'does not answer'],
  ])('ends by itself where %s for a whole lease', async (_why, fail, words) => {
    let failing = false;
    const store = new Proxy(rig.store, {
      get: (inner, key) => {
        const value: unknown = Reflect.get(inner, key);
        if (typeof value !== 'function') return value;
        if (key === 'renewEngine' && failing) return fail;
        return value.bind(inner) as unknown;
      },
    });
    const executor = await rig.started({ store });
    failing = true;
    await rig.clock.advance(10_000);
    expect(executor.holdsEngine()).toBe(true);
    await rig.until(() => !executor.holdsEngine());
    expect(rig.logLines.some((line) => /could not be renewed/.test(line) && line.includes(words))).toBe(true);
    failing = false;
    await rig.until(() => executor.holdsEngine());
  });
});

function gateOf(session: Session): EngineGate {
  const { clock, runner } = rig;
  return new EngineGate({
    runner,
    session,
    clock,
    log: SILENT,
    outages: new Outages(),
    onUp: () => undefined,
  });
}

it('a suspended owner does nothing any more once its lease is over, though no timer has fired yet', async () => {
  const session = new Session({ epoch: 1, since: momentOf(rig.clock), clock: rig.clock, log: SILENT });
  const gate = gateOf(session);
  const { name: order } = await gate.through(() => Promise.resolve({ name: 'given' }));
  expect(order).toBe('given');
  rig.clock.set(rig.clock.now() + LEASE_MS - 1);
  session.throwIfOver();
  rig.clock.set(rig.clock.now() + 1);
  await expect(gate.through(() => rig.runner.list())).rejects.toBeInstanceOf(SessionOver);
  expect(session.signal.aborted).toBe(true);
  expect(rig.runner.countOf('list')).toBe(0);
});

it('a suspended owner does not count as in charge, so that maintenance removes nothing', async () => {
  const executor = await rig.started();
  rig.clock.set(rig.clock.now() + LEASE_MS - 1_000);
  expect(executor.holdsEngine()).toBe(true);
  rig.clock.set(rig.clock.now() + 1_000);
  expect(executor.holdsEngine()).toBe(false);
  await rig.until(() => executor.holdsEngine());
});

it('an engine that was given to a process which was then suspended is not its own any more when it hears of it', async () => {
  const thawed = deferred<void>();
  const store = new Proxy(rig.store, {
    get: (inner, key) => {
      const value: unknown = Reflect.get(inner, key);
      if (typeof value !== 'function') return value;
      if (key !== 'acquireEngine') return value.bind(inner) as unknown;
      return async (...args: Parameters<typeof inner.acquireEngine>) => {
        const lease = await inner.acquireEngine(...args);
        await thawed.promise;
        return lease;
      };
    },
  });
  const suspended = rig.executor({ store });
  await suspended.start();
  await settle();
  rig.clock.set(rig.clock.now() + LEASE_MS);
  const seen = await rig.store.acquireEngine('fake', 'other', LEASE_MS);
  const lease = seen.held ? seen : await rig.store.acquireEngine('fake', 'other', LEASE_MS, seen);
  expect(lease).toEqual({ held: true, epoch: 2 });
  const name = await rig.create();
  await rig.store.claimAttempts({ engine: 'fake', epoch: 2, limit: 1, maxParallelism: 1 });
  thawed.resolve();
  await rig.until(() => rig.logLines.some((line) => line.includes('Another gateway is in charge')));
  expect(rig.runner.calls).toEqual([]);
  expect(await rig.attempt(name)).toMatchObject({ state: 'STARTING' });
});

it('a suspended owner does nothing any more also where the time of day was set back meanwhile', async () => {
  let elapsed = 5;
  const clock = { now: () => rig.clock.now(), elapsed: () => elapsed, setTimer: () => () => undefined };
  const session = new Session({ epoch: 1, since: momentOf(clock), clock, log: SILENT });
  rig.clock.set(rig.clock.now() - 20_000);
  elapsed += LEASE_MS - 1;
  session.throwIfOver();
  elapsed += 1;
  expect(() => session.throwIfOver()).toThrow(SessionOver);
  await expect(gateOf(session).through(() => rig.runner.list())).rejects.toBeInstanceOf(SessionOver);
});

it('a stopper that is done with lets go of its session', async () => {
  const { clock, runner } = rig;
  const session = new Session({ epoch: 1, since: momentOf(clock), clock, log: SILENT });
  const { signal } = session;
  const gate = gateOf(session);
  const stopper = new Stopper({
    runner,
    gate,
    clock,
    times: new RunTimes(clock),
    log: SILENT,
    signal,
    onAct: () => undefined,
  });
  await rig.started();
  const name = await rig.create();
  await rig.running(name);
  stopper.begin(rig.container(name), 1000);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  stopper.cancel();
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

it('takes up what it claimed although the disk failed under the claim', async () => {
  const claim = rig.store.claimAttempts;
  vi.spyOn(rig.store, 'claimAttempts').mockImplementationOnce(async (params) => {
    await claim(params);
    throw new TappetError('STORE_UNAVAILABLE', 'Whether this call was stored is not known.');
  });
  const name = await rig.create();
  await rig.started();
  await rig.running(name);
  expect(rig.runner.countOf('ensure')).toBe(1);
});

describe('a stop', () => {
  it('leaves containers running and their logs without an end, and lets the next one adopt at once', async () => {
    const first = await rig.started();
    const names = await Promise.all(Array.from({ length: 10 }, () => rig.create()));
    for (const name of names) await rig.running(name);
    rig.runner.calls.length = 0;
    await first.stop();
    expect(rig.runner.calls.filter(({ method }) => ['stop', 'kill', 'remove'].includes(method))).toEqual([]);
    for (const name of names) {
      expect(rig.runner.statusOf(rig.container(name)).state).toBe('running');
      expect(rig.logs.endOf(await rig.attempt(name))).toBe('left');
      rig.runner.emit(rig.container(name), 'stdout', 'meanwhile');
    }
    const before = rig.clock.now();
    const second = rig.executor();
    await second.start();
    await rig.until(() => second.status().runningTasks === 10 && second.status().state === 'ready', 10);
    expect(rig.clock.now() - before).toBeLessThan(1000);
    for (const name of names) rig.runner.exit(rig.container(name), { exitCode: 0 });
    for (const name of names) {
      expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
      expect(rig.logs.text(await rig.attempt(name))).toBe('meanwhile');
    }
  });

  it('takes less than five seconds although the engine hangs', async () => {
    const executor = await rig.started();
    const release = rig.runner.hold('prepare');
    await rig.create();
    await rig.until(() => rig.runner.countOf('prepare') === 1);
    let stopped = false;
    void executor.stop().then(() => (stopped = true));
    await settle();
    await rig.clock.advance(4900);
    expect(stopped).toBe(true);
    release();
    await settle();
    expect(rig.runner.countOf('ensure')).toBe(0);
  });

  it('before the start is legal', async () => {
    const executor = rig.executor();
    await executor.stop();
    await executor.start();
    await settle();
    expect(executor.status().state).toBe('off');
  });
});

describe('adoption', () => {
  it('keeps the deadline of the first start', async () => {
    const doomed = new DoomedPorts(rig, 'store.renewEngine:before:4');
    await rig.mortal(doomed.ports).start();
    const name = await rig.create({ timeoutMs: 60_000, maxRetries: 0 });
    await rig.until(() => doomed.dead);
    await rig.executor().start();
    await rig.ended(name);
    const attempt = await rig.attempt(name);
    expect(attempt.reason).toBe('TIMED_OUT');
    expect((attempt.endTime ?? 0) - (attempt.startTime ?? 0)).toBe(60_000);
  });

  it.each(['capabilities', 'list'] as const)(
    'does not wait for an engine that gives no answer to %s',
    async (method) => {
      const release = rig.runner.hold(method);
      const executor = rig.mortal();
      await executor.start();
      await rig.until(() => rig.runner.countOf(method) > 0);
      let stopped = false;
      void executor.stop().then(() => (stopped = true));
      await rig.clock.advance(2_000);
      expect(stopped).toBe(true);
      release();
    },
  );

  it('stops what was to be stopped, and cancels what had not started', async () => {
    const doomed = new DoomedPorts(rig, 'runner.ensure:before:2');
    await rig.mortal(doomed.ports).start();
    const runs = await rig.create();
    await rig.running(runs);
    const waits = await rig.create();
    await rig.until(() => doomed.dead);
    await rig.store.cancelExecution(runs, 'test');
    await rig.store.cancelExecution(waits, 'test');
    await rig.executor().start();
    expect(await rig.ended(runs)).toMatchObject({ state: 'CANCELLED' });
    expect(await rig.ended(waits)).toMatchObject({ state: 'CANCELLED' });
    expect((await rig.attempt(waits)).message).toBe('Cancelled before it started.');
    expect(rig.runner.starts.has(rig.container(waits))).toBe(false);
  });

  it('finds a lost container, and leaves one alone that runs without a row', async () => {
    const doomed = new DoomedPorts(rig, 'store.renewEngine:before:2');
    await rig.mortal(doomed.ports).start();
    const name = await rig.create();
    await rig.running(name);
    const spec = rig.runner.specOf(rig.container(name));
    await rig.until(() => doomed.dead);
    rig.runner.vanish(rig.container(name));
    for (const [execution, running] of [
      ['strange-0', true],
      ['ended-0', false],
    ] as const) {
      rig.runner.plant(
        { ...spec, name: rig.container(execution), key: { execution, index: 0, attempt: 0 } },
        running,
      );
    }
    const heir = rig.executor();
    await heir.start();
    await rig.until(async () => (await rig.store.listAttempts(name, 0))[0]?.reason === 'CONTAINER_LOST');
    await rig.until(() => !rig.runner.names().includes(rig.container('ended-0')));
    expect(rig.runner.names()).toContain(rig.container('strange-0'));
  });
});
