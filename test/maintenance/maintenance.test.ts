import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JOB_DEFAULTS } from '../../src/core/job.ts';
import type { Runner } from '../../src/core/runner.ts';
import { EventRetention } from '../../src/maintenance/event-retention.ts';
import { ExecutionRetention } from '../../src/maintenance/execution-retention.ts';
import { Maintenance } from '../../src/maintenance/maintenance.ts';
import { OrphanContainers } from '../../src/maintenance/orphan-containers.ts';
import { Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe('execution retention', () => {
  it('removes logs and rows of what is past its retention, and nothing else', async () => {
    rig.runner.script = () => ({ output: [{ text: 'x' }], exitAt: 10 });
    await rig.started();
    const old = await rig.create({ retentionMs: 60_000 });
    const kept = await rig.create({ retentionMs: 3_600_000 });
    await rig.ended(old);
    await rig.ended(kept);
    const [oldAttempt, keptAttempt] = [await rig.attempt(old), await rig.attempt(kept)];
    const duty = new ExecutionRetention({ store: rig.store, logs: rig.logs, log });
    expect(await duty.runOnce()).toBe(0);
    await rig.clock.advance(120_000);
    expect(await duty.runOnce()).toBe(1);
    expect(await rig.store.getExecution(old)).toBeUndefined();
    expect(await rig.store.getExecution(kept)).toBeDefined();
    expect([rig.logs.text(oldAttempt), rig.logs.text(keptAttempt)]).toEqual(['', 'x']);
    expect(await duty.runOnce()).toBe(0);
  });

  it('removes the logs before the rows, in batches', async () => {
    const left = Array.from({ length: 1201 }, (_, i) => `e-${i}`);
    const steps: string[] = [];
    const store = {
      expiredExecutions: (limit: number) => Promise.resolve(left.slice(0, limit)),
      surplusExecutions: () => Promise.resolve([]),
      pruneExecutions: (names: readonly string[]) => {
        steps.push(`rows ${names.length}`);
        left.splice(0, names.length);
        return Promise.resolve({ removed: names.length, more: false });
      },
    };
    let logs = 0;
    const remove = () => Promise.resolve(void (logs += 1));
    expect(await new ExecutionRetention({ store, logs: { remove }, log }).runOnce()).toBe(1201);
    expect(logs).toBe(1201);
    expect(steps).toEqual(['rows 500', 'rows 500', 'rows 201']);
  });

  it('keeps as many as the job says now, the newest, and removes large ones piece by piece', async () => {
    rig.runner.script = () => ({ exitAt: 10 });
    await rig.started();
    const names: string[] = [];
    for (let i = 0; i < 4; i++) {
      names.push(await rig.create());
      await rig.ended(names[i] ?? '');
    }
    const counts = new Map([['work', 2]]);
    const pieces: number[] = [];
    const store = {
      expiredExecutions: (limit: number) => rig.store.expiredExecutions(limit),
      surplusExecutions: (job: string, keep: number, limit: number) =>
        rig.store.surplusExecutions(job, keep, limit),
      pruneExecutions: async (gone: readonly string[]) => {
        // As of a store that needs a call for each.
        const next = gone.find((name) => !pruned.has(name)) ?? '';
        pruned.add(next);
        const { removed } = await rig.store.pruneExecutions([next]);
        pieces.push(removed);
        return { removed, more: pruned.size < gone.length };
      },
    };
    const pruned = new Set<string>();
    const duty = new ExecutionRetention({ store, logs: rig.logs, log, retentionCounts: () => counts });
    expect(await duty.runOnce()).toBe(2);
    expect(pieces).toEqual([1, 1]);
    const { items } = await rig.store.listExecutions({}, { size: 10 });
    expect(items.map(({ name }) => name)).toEqual([names[3], names[2]]);
    counts.clear();
    expect(await duty.runOnce()).toBe(0);
  });

  it('keeps only the rows whose log cannot be removed, and says so once', async () => {
    let left = Array.from({ length: 1200 }, (_, i) => `e-${i}`);
    const store = {
      expiredExecutions: (limit: number) => Promise.resolve(left.slice(0, limit)),
      surplusExecutions: () => Promise.resolve([]),
      pruneExecutions: (names: readonly string[]) => {
        left = left.filter((name) => !names.includes(name));
        return Promise.resolve({ removed: names.length, more: false });
      },
    };
    const warnings: string[] = [];
    const asked: string[] = [];
    // More than a batch of them, all in front.
    const stuck = (name: string): boolean => Number(name.slice(2)) < 600;
    const remove = (name: string) => {
      asked.push(name);
      return stuck(name) ? Promise.reject(new Error('not permitted')) : Promise.resolve();
    };
    const duty = new ExecutionRetention({
      store,
      logs: { remove },
      log: { ...log, warn: (message) => void warnings.push(message) },
    });
    expect(await duty.runOnce()).toBe(600);
    expect(left).toHaveLength(600);
    expect(left.every(stuck)).toBe(true);
    expect(new Set(asked).size).toBe(asked.length);
    expect(warnings).toEqual([expect.stringMatching(/e-0, and those of 599 more.*not permitted/)]);
  });
});

describe('event retention', () => {
  it('goes on until nothing is left', async () => {
    const answers = [50, 50, 20, 0];
    const asked: unknown[] = [];
    const pruneEvents = (olderThanMs: number, limit: number) => {
      asked.push([olderThanMs, limit]);
      return Promise.resolve(answers.shift() ?? 0);
    };
    expect(await new EventRetention({ store: { pruneEvents }, retentionMs: () => 7 }).runOnce()).toBe(120);
    expect(asked).toEqual([1, 2, 3, 4].map(() => [7, 50]));
  });
});

describe('orphaned containers', () => {
  const planted = (execution: string) => ({
    name: rig.container(execution),
    key: { execution, index: 0, attempt: 0 },
    job: 'work',
    epoch: 1,
    image: 'busybox',
    digest: 'sha256:busybox',
    env: {},
    binds: [],
    ...JOB_DEFAULTS,
  });
  const duty = (runner: () => Runner | undefined = () => rig.runner) =>
    new OrphanContainers({ store: rig.store, clock: rig.clock, log, runner });

  it('are removed at once where the attempt has ended, after five minutes where it is unknown, else never', async () => {
    await rig.started();
    const running = await rig.create();
    await rig.running(running);
    const ended = await rig.create();
    await rig.running(ended);
    rig.runner.fail('remove', new Error('busy') as never);
    rig.runner.exit(rig.container(ended));
    await rig.ended(ended);
    rig.runner.plant(planted('strange-0'), true);
    expect(rig.runner.names()).toHaveLength(3);
    expect(await duty().runOnce()).toBeGreaterThanOrEqual(0);
    expect(rig.runner.names()).toEqual([rig.container('strange-0'), rig.container(running)].sort());
    await rig.clock.advance(4 * 60_000);
    expect(await duty().runOnce()).toBe(0);
    await rig.clock.advance(61_000);
    expect(await duty().runOnce()).toBe(1);
    expect(rig.runner.names()).toEqual([rig.container(running)]);
  });

  it('are left alone while another gateway is in charge', async () => {
    rig.runner.plant(planted('strange-0'), true);
    await rig.clock.advance(600_000);
    expect(await duty(() => undefined).runOnce()).toBe(0);
    expect(rig.runner.names()).toHaveLength(1);
    expect(await duty().runOnce()).toBe(1);
  });
});

describe('maintenance', () => {
  it('does its duties by the clock, goes on after a failure, and stops', async () => {
    const warnings: string[] = [];
    let fail = true;
    const runner = (): Runner | undefined => {
      if (fail) throw new Error('broken');
      return rig.runner;
    };
    const maintenance = new Maintenance({
      store: rig.store,
      logs: rig.logs,
      bodies: { sweep: async () => 0 },
      clock: rig.clock,
      runner,
      retentionCounts: () => new Map<string, number>(),
      eventRetentionMs: () => 1000,
      imagePrune: () => null,
      neverPulled: () => [],
      log: { ...log, warn: (message: string) => void warnings.push(message) },
    });
    await maintenance.start();
    await rig.clock.advance(60_000);
    expect(warnings).toEqual([expect.stringMatching(/remove orphaned containers.*broken/)]);
    fail = false;
    await rig.clock.advance(300_000);
    expect(rig.runner.countOf('list')).toBe(1);
    await maintenance.stop();
    await rig.clock.advance(3_600_000);
    await settle();
    expect(rig.runner.countOf('list')).toBe(1);
  });
});
