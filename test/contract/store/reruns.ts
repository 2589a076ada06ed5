import { describe, expect, it } from 'vitest';
import type { Execution } from '../../../src/core/execution.ts';
import type { RerunResult } from '../../../src/core/store.ts';
import { DAY, expectCode } from './fixture.ts';
import type { Bench } from './fixture.ts';

/** Running again what did not succeed. */
export function rerunsContract(bench: Bench): void {
  const ask = (of: string, ids = bench.fixture.ids): Promise<RerunResult | undefined> =>
    bench.store.rerunExecution({ of, uid: ids.uid(), name: `work-${ids.suffix(10)}`, by: 'ann' });
  async function rerun(of: string): Promise<Execution> {
    const result = await ask(of);
    if (result?.outcome !== 'created') throw new TypeError(`not created: ${result?.outcome}`);
    return result.execution;
  }
  const tasks = async (name: string, size = 100, cursor?: string) => {
    const page = await bench.store.listTasks(name, { size, ...(cursor === undefined ? {} : { cursor }) });
    return { ...page, items: page.items.map(({ index, state }) => `${index} ${state}`) };
  };
  /** Tasks 1 and 3 of 5 fail. */
  async function halfFailed(changes: Parameters<Bench['created']>[1] = {}): Promise<string> {
    const name = await bench.created({ taskCount: 5, maxRetries: 0 }, changes);
    for (const code of [0, 1, 0, 2, 0]) await bench.attempt(bench.exit(code));
    return name;
  }

  describe('rerunExecution', () => {
    it('takes the frozen spec, context and cause, and only what failed, by its own number', async () => {
      const event = await bench.accepted('1');
      const cause = { kind: 'event', event, trigger: 't' } as const;
      const given = { cause, context: { event: { id: '1' } }, labels: { team: 'x' } };
      const old = await halfFailed(given);
      await bench.clock.advance(DAY);
      const again = await rerun(old);
      const counters = { running: 0, succeeded: 0, failed: 0, cancelled: 0, retried: 0 };
      expect(again).toMatchObject({ ...given, state: 'PENDING', counters, createTime: bench.clock.now() });
      expect(again).toMatchObject({ toRun: 2, rerunOf: old, rerunBy: 'ann', jobGeneration: 1 });
      const before = await bench.store.getExecution(old);
      expect(before?.image).not.toBeNull();
      expect([again.spec, again.image]).toEqual([before?.spec, before?.image]);
      expect((await tasks(again.name)).items).toEqual(['1 PENDING', '3 PENDING']);
      expect(await bench.store.getTask(again.name, 2)).toBeUndefined();
      expect(await bench.store.getTask(again.name, 3)).toMatchObject({ startTime: null, attempts: 0 });

      const first = await bench.attempt(bench.exit(0));
      expect(first.attempt).toMatchObject({ execution: again.name, index: 1, attempt: 0 });
      expect(first.task.startTime).toBe(bench.clock.now());
      const { execution } = await bench.attempt(bench.exit(0));
      expect(execution).toMatchObject({
        state: 'SUCCEEDED',
        message: 'All 2 tasks succeeded.',
        counters: { succeeded: 2 },
      });
      const [end] = (await bench.store.listEvents({ origin: 'execution' }, { size: 1 })).items;
      expect(end?.event.data).toMatchObject({ execution: again.name, rerunOf: old });
    });

    it('runs again what was cancelled, started or not, and so on from re-run to re-run', async () => {
      const old = await bench.created({ taskCount: 6, parallelism: 2, maxRetries: 1 });
      await bench.attempt(bench.exit(0));
      await bench.attempt(bench.broken('CONTAINER_LOST', 'gone'));
      const { attempt } = await bench.running();
      await bench.store.cancelExecution(old, 'ann');
      await bench.finish(attempt, { ...bench.broken('CANCELLED', 'x'), state: 'CANCELLED' });
      const second = await rerun(old);
      expect(second.toRun).toBe(5);
      const all = ['1 PENDING', '2 PENDING', '3 PENDING', '4 PENDING', '5 PENDING'];
      expect((await tasks(second.name)).items).toEqual(all);
      const { items, nextCursor } = await tasks(second.name, 3);
      expect([items, (await tasks(second.name, 3, nextCursor ?? '')).items]).toEqual([
        all.slice(0, 3),
        all.slice(3),
      ]);

      await bench.attempt(bench.exit(0));
      await bench.attempt(bench.exit(0));
      await bench.attempt(bench.exit(0));
      await bench.store.cancelExecution(second.name, 'ann');
      expect(await bench.store.getExecution(second.name)).toMatchObject({
        state: 'CANCELLED',
        counters: { succeeded: 3, cancelled: 2 },
      });
      const third = await rerun(second.name);
      expect((await tasks(third.name)).items).toEqual(['4 PENDING', '5 PENDING']);
      await bench.attempt(bench.exit(0));
      expect((await bench.attempt(bench.exit(0))).execution.state).toBe('SUCCEEDED');
    });

    it('keeps to the parallelism, the retries and the deadline of the spec', async () => {
      const old = await bench.created({ taskCount: 4, parallelism: 2, maxRetries: 1, deadlineMs: DAY });
      await bench.store.cancelExecution(old, 'ann');
      await bench.clock.advance(2 * DAY);
      const again = await rerun(old);
      expect(again.deadline).toBe(bench.clock.now() + DAY);
      expect(await bench.claim()).toHaveLength(2);
      await bench.start({ execution: again.name, index: 0, attempt: 0 });
      const { task } = await bench.finish({ execution: again.name, index: 0, attempt: 0 }, bench.exit(1));
      expect(task).toMatchObject({ state: 'PENDING', retries: 1 });
      await bench.clock.advance(DAY);
      await bench.store.haltOverdue(10);
      expect((await tasks(again.name)).items).toEqual([
        '0 CANCELLED',
        '1 RUNNING',
        '2 CANCELLED',
        '3 CANCELLED',
      ]);
      expect((await bench.store.getTask(again.name, 2))?.message).toBe(
        'Cancelled at the deadline of the execution before it started.',
      );
    });

    it('refuses what has not ended, what succeeded, and what is not there', async () => {
      const name = await bench.created();
      expect(await ask(name)).toEqual({ outcome: 'running' });
      await bench.attempt(bench.exit(0));
      expect(await ask(name)).toEqual({ outcome: 'nothing' });
      await bench.store.deleteExecution(name);
      expect(await ask(name)).toBeUndefined();
      expect(await ask('none')).toBeUndefined();
    });

    it('makes one when it is repeated, lives without the old one, and holds the event', async () => {
      const event = await bench.accepted('1');
      await bench.store.decide({ event, decisions: [] });
      const old = await halfFailed({ cause: { kind: 'event', event, trigger: 't' } });
      const { ids } = bench.fixture;
      const params = { of: old, uid: ids.uid(), name: `work-${ids.suffix(10)}`, by: 'ann' };
      const first = await bench.store.rerunExecution(params);
      expect(await bench.store.rerunExecution(params)).toEqual(first);
      await expectCode(bench.store.rerunExecution({ ...params, uid: ids.uid() }), 'CONFLICT');
      await bench.store.deleteExecution(old);
      await bench.store.pruneExecutions([old]);
      await bench.clock.advance(DAY);
      await bench.store.pruneEvents(0, 100);
      expect(await bench.store.getEvent(event)).toBeDefined();
      await bench.attempt(bench.exit(0));
      expect((await bench.attempt(bench.exit(0))).execution.state).toBe('SUCCEEDED');
    });
  });
}
