import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { MIB } from '../../src/core/job.ts';
import type { Attempt } from '../../src/core/execution.ts';
import { usageAtEnd } from '../../src/executor/usage-meter.ts';
import { Rig } from '../support/executor-rig.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

const only = async (name: string): Promise<Attempt | undefined> => (await rig.store.listAttempts(name, 0))[0];
/** A container that burns half a core, and uses what `memory` says of it, in MiB. */
const burning = (memory: (ranMs: number) => number | null) => {
  rig.runner.measure = (container) => {
    const status = rig.runner.statusOf(container);
    if (status.state !== 'running') return null;
    const ranMs = rig.clock.now() - status.startTime;
    const used = memory(ranMs);
    return { time: rig.clock.now(), cpuMs: ranMs / 2, memoryBytes: used === null ? null : used * MIB };
  };
};

describe('what an attempt uses', () => {
  it('is measured while it runs: cpu at the last look, the highest memory, its time by the engine', async () => {
    burning((ranMs) => (ranMs < 3_000 ? 100 : 40));
    rig.runner.script = () => ({ exitAt: 12_400 });
    await rig.started();
    const name = await rig.create();
    const execution = await rig.ended(name);
    const attempt = await only(name);
    const { usage, startTime } = attempt ?? {};
    expect(usage).toMatchObject({ wallMs: 12_400, peakMemoryBytes: 100 * MIB });
    const { cpuMs = null, measureTime = null } = usage ?? {};
    expect(cpuMs).toBe(((measureTime ?? 0) - (startTime ?? 0)) / 2);
    // Every second while it is young, then every five.
    expect(cpuMs).toBeGreaterThanOrEqual((12_400 - 6_100) / 2);
    expect(cpuMs).toBeLessThanOrEqual(12_400 / 2);
    expect(execution.usage).toMatchObject({
      attempts: 1,
      wallMs: 12_400,
      cpuMs,
      peakMemoryBytes: 100 * MIB,
      unknown: { wall: 0, cpu: 0, peakMemory: 0 },
    });
  });

  it('is measured every five seconds where the next gateway takes it over, as it is not young any more', async () => {
    burning(() => 10);
    const first = await rig.started();
    const name = await rig.create({ timeoutMs: 3_600_000 });
    await rig.running(name);
    await rig.clock.advance(60_000);
    await first.stop();
    await rig.started();
    const before = rig.runner.countOf('usage');
    await rig.clock.advance(2_000);
    // At once, and stored: what was measured last may be half a minute old.
    expect(rig.runner.countOf('usage') - before).toBe(1);
    expect((await only(name))?.usage?.measureTime).toBeGreaterThan(rig.clock.now() - 4_000);
    await rig.clock.advance(28_000);
    expect(rig.runner.countOf('usage') - before).toBeLessThanOrEqual(7);
  });

  it('costs the engine nothing where it ends within a second, and is then not known', async () => {
    burning(() => 10);
    rig.runner.script = () => ({ exitAt: 700 });
    await rig.started();
    const name = await rig.create();
    const { usage } = await rig.ended(name);
    expect(rig.runner.countOf('usage')).toBe(0);
    expect((await only(name))?.usage).toMatchObject({ wallMs: 700, cpuMs: null, peakMemoryBytes: null });
    expect(usage).toMatchObject({ attempts: 1, wallMs: 700, unknown: { wall: 0, cpu: 1, peakMemory: 1 } });
  });

  it('is stored while it runs, so that the next process knows the peak of before', async () => {
    burning((ranMs) => (ranMs < 10_000 ? 300 : 20));
    const first = await rig.started();
    const name = await rig.create();
    await rig.running(name);
    await rig.clock.advance(45_000);
    expect((await only(name))?.usage).toMatchObject({ wallMs: null, peakMemoryBytes: 300 * MIB });
    await first.stop();
    await rig.started();
    await rig.clock.advance(10_000);
    rig.runner.exit(rig.container(name));
    await rig.ended(name);
    const { usage, startTime, endTime } = (await only(name)) ?? {};
    expect(usage).toMatchObject({ peakMemoryBytes: 300 * MIB, wallMs: (endTime ?? 0) - (startTime ?? 0) });
    expect(usage?.cpuMs).toBeGreaterThan(25_000);
  });

  it('is measured once more before a stop', async () => {
    burning(() => 10);
    await rig.started();
    const name = await rig.create({ timeoutMs: 13_000, maxRetries: 0 });
    await rig.ended(name);
    expect((await only(name))?.usage?.cpuMs).toBe(13_000 / 2);
  });

  it('harms nobody where the engine does not tell: it refuses, or its answer does not come', async () => {
    rig.runner.script = () => ({ exitAt: 8_000 });
    rig.runner.fail('usage', new TappetError('ENGINE_REFUSED', 'no'), { times: 2 });
    rig.runner.fail('usage', new TappetError('ENGINE_UNAVAILABLE', 'not now'), { times: 1 });
    const executor = await rig.started();
    const refused = await rig.create();
    await rig.until(() => rig.runner.countOf('usage') >= 3);
    expect(executor.status().state).toBe('ready');
    const release = rig.runner.hold('usage');
    const silent = await rig.create();
    for (const name of [refused, silent]) {
      expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED', usage: { unknown: { cpu: 1 } } });
    }
    release();
  });

  it('is asked for of four containers at a time, however many run', async () => {
    let asked = 0;
    let most = 0;
    const { runner } = rig;
    const counting = new Proxy(runner, {
      get: (target, key): unknown => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== 'function') return value;
        if (key !== 'usage') return value.bind(target) as unknown;
        return async (name: string) => {
          most = Math.max(most, ++asked);
          await new Promise<void>((resolve) => void rig.clock.setTimer(20, resolve));
          asked -= 1;
          return runner.usage(name);
        };
      },
    });
    burning(() => 10);
    runner.script = () => ({ exitAt: 6_000 });
    await rig.started({ runner: counting }, { maxRunningTasks: 30 });
    const { usage } = await rig.ended(await rig.create({ taskCount: 30, parallelism: 30 }));
    expect(most).toBe(4);
    expect(usage).toMatchObject({ attempts: 30, unknown: { cpu: 0 } });
  });

  it('is nearly all of its memory when it is killed from outside: most likely for that', async () => {
    burning((ranMs) => Math.min(510, ranMs / 10));
    await rig.started();
    const name = await rig.create({ maxRetries: 0 });
    await rig.running(name);
    await rig.clock.advance(20_000);
    rig.runner.exit(rig.container(name), { exitCode: 137 });
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED', reason: 'OOM_SUSPECTED' });
  });
});

describe('at the end', () => {
  const measured = { wallMs: null, cpuMs: 5, peakMemoryBytes: 7, measureTime: 900, pulledBytes: 3 };
  const exited = (startTime: number, endTime: number, oomKilled = false) =>
    ({
      state: 'exited',
      startTime,
      endTime,
      exit: { exitCode: 0, signal: null, oomKilled, error: null },
    }) as const;
  it.each([
    ['its time is that between the engine’s two', exited(1000, 3500), { wallMs: 2500 }],
    ['an end that the engine does not know leaves it unknown', exited(1000, 1000), { wallMs: null }],
    ['and so does a clock that was set back', exited(1000, 400), { wallMs: null }],
    ['and a container that is gone', { state: 'missing' } as const, { wallMs: null }],
    ['what the kernel killed had all of it', exited(1000, 2000, true), { wallMs: 1000, peakMemoryBytes: 64 }],
  ])('%s', (_, ended, expected) => {
    expect(usageAtEnd(measured, ended, { memoryBytes: 64 })).toEqual({ ...measured, ...expected });
  });

  it('nothing is made up where nothing was measured', () => {
    const { wallMs, ...rest } = usageAtEnd(null, exited(0, 10), { memoryBytes: 64 });
    expect(wallMs).toBe(10);
    expect(Object.values(rest)).toEqual([null, null, null, null]);
  });
});
