import { describe, expect, it } from 'vitest';
import type { AttemptResult } from '../../../src/core/execution.ts';
import { DAY, HOUR } from './fixture.ts';
import type { Bench } from './fixture.ts';
import { matched } from './routing.ts';

const CANCELLED = (bench: Bench): AttemptResult => ({
  ...bench.broken('CANCELLED', 'Cancelled.'),
  state: 'CANCELLED',
});

export function maintenanceContract(bench: Bench): void {
  it('tells which of many events exist', async () => {
    const uids = [await bench.accepted('1'), await bench.accepted('2')];
    expect(await bench.store.whichEventsExist([...uids, 'gone', "'", ''])).toEqual(new Set(uids));
    expect(await bench.store.whichEventsExist([])).toEqual(new Set());
  });

  describe('executions', () => {
    it('hides a deleted one from every reader and lets it be pruned at once', async () => {
      const name = await bench.created();
      expect(await bench.store.deleteExecution(name)).toBe('running');
      await bench.attempt(bench.exit(0));
      expect(await bench.store.deleteExecution(name)).toBe('deleted');
      expect(await bench.store.deleteExecution(name)).toBeUndefined();
      expect(await bench.store.getExecution(name)).toBeUndefined();
      expect((await bench.store.listExecutions({}, { size: 10 })).items).toEqual([]);
      expect(await bench.store.getTask(name, 0)).toBeUndefined();
      expect((await bench.store.listTasks(name, { size: 10 })).items).toEqual([]);
      expect(await bench.store.listAttempts(name, 0)).toEqual([]);
      expect(await bench.store.cancelExecution(name, 'ann')).toBeUndefined();
      expect(await bench.store.expiredExecutions(10)).toEqual([name]);
      expect(await bench.store.pruneExecutions([name])).toEqual({ removed: 1, more: false });
      expect(await bench.store.expiredExecutions(10)).toEqual([]);
      expect(await bench.store.pruneExecutions([name])).toEqual({ removed: 0, more: false });
    });

    it('expires what ended longer ago than its retention, and never what has not ended', async () => {
      const ended = await bench.created({ retentionMs: DAY });
      await bench.attempt(bench.exit(0));
      const pending = await bench.created({ retentionMs: DAY });
      await bench.clock.advance(DAY - 1);
      expect(await bench.store.expiredExecutions(10)).toEqual([]);
      await bench.clock.advance(1);
      expect(await bench.store.expiredExecutions(10)).toEqual([ended]);
      expect(await bench.store.pruneExecutions([ended, pending, 'nope'])).toMatchObject({ removed: 1 });
      expect(await bench.store.getExecution(pending)).toBeDefined();
      expect(await bench.store.getExecution(ended)).toBeUndefined();
    });

    it('names what is more than a job keeps, the newest being kept', async () => {
      const names: string[] = [];
      for (let i = 0; i < 5; i++) names.push(await bench.created());
      const other = await bench.created({}, { job: 'other' });
      for (const name of [...names.slice(0, 4), other]) await bench.store.cancelExecution(name, 'ann');
      // One more that has not ended, which counts for nothing, and one that was deleted.
      await bench.store.deleteExecution(names[3] ?? '');
      expect(await bench.store.surplusExecutions('work', 1, 10)).toEqual([names[1], names[0]]);
      expect(await bench.store.surplusExecutions('work', 1, 1)).toEqual([names[1]]);
      expect(await bench.store.surplusExecutions('work', 3, 10)).toEqual([]);
      await bench.store.pruneExecutions([names[1] ?? '', names[0] ?? '']);
      expect(await bench.store.getExecution(names[2] ?? '')).toBeDefined();
      expect(await bench.store.surplusExecutions('work', 1, 10)).toEqual([]);
    });

    it('removes a large one piece by piece; nobody sees half of it', async () => {
      const taskCount = 600;
      const large = await bench.created({ taskCount, parallelism: 0 });
      const small = await bench.created();
      await bench.claim(taskCount + 1, taskCount);
      await bench.store.cancelExecution(large, 'ann');
      const keys = Array.from({ length: taskCount }, (_, index) => ({ execution: large, index, attempt: 0 }));
      await Promise.all(keys.map((key) => bench.finish(key, CANCELLED(bench))));
      await bench.store.cancelExecution(small, 'ann');
      await bench.finish({ execution: small, index: 0, attempt: 0 }, CANCELLED(bench));
      let removed = 0;
      let calls = 0;
      for (let more = true; more; calls++) {
        const result = await bench.store.pruneExecutions([large, small]);
        more = result.more;
        removed += result.removed;
        expect(await bench.store.getExecution(large)).toBeUndefined();
        // A process that ends here is followed by one that finds it again.
        if (removed === 0) expect(await bench.store.expiredExecutions(10)).toEqual([large]);
      }
      expect([removed, calls > 2]).toEqual([2, true]);
      expect(await bench.store.expiredExecutions(10)).toEqual([]);
    });

    it('gives at most as many as asked for', async () => {
      for (let i = 0; i < 3; i++) await bench.store.cancelExecution(await bench.created(), 'ann');
      await bench.clock.advance(31 * DAY);
      expect(await bench.store.expiredExecutions(2)).toHaveLength(2);
    });
  });

  describe('pruneEvents', () => {
    it('removes what is decided and old enough, oldest first, at most as many as asked for', async () => {
      const uids = [];
      for (const id of ['1', '2', '3']) {
        uids.push(await bench.accepted(id, 'trigger/a', { rememberMs: 100 * DAY }));
        await bench.clock.advance(HOUR);
      }
      const [first, second, undecided] = uids as [string, string, string];
      await bench.store.decide({
        event: first,
        decisions: [{ trigger: 'a', outcome: 'skipped', reason: 'x' }],
      });
      await bench.store.decide({ event: second, decisions: [] });
      expect(await bench.store.pruneEvents(DAY, 10)).toBe(0);
      await bench.clock.advance(DAY);
      expect(await bench.store.pruneEvents(DAY, 1)).toBe(1);
      expect(await bench.store.getEvent(first)).toBeUndefined();
      expect((await bench.store.listDecisions({ trigger: 'a' }, { size: 10 })).items).toEqual([]);
      expect(await bench.store.pruneEvents(DAY, 10)).toBe(1);
      expect(await bench.store.getEvent(second)).toBeUndefined();
      expect(await bench.store.getEvent(undecided)).toBeDefined();
    });

    it('keeps an event as long as an execution names it', async () => {
      const event = await bench.accepted('1');
      const cause = { kind: 'event', event, trigger: 'a' } as const;
      const execution = bench.execution({ retentionMs: 10 * DAY }, { cause });
      await bench.store.decide({ event, decisions: [matched('a', execution)] });
      await bench.store.cancelExecution(execution.name, 'ann');
      await bench.clock.advance(9 * DAY);
      await bench.store.pruneEvents(DAY, 10);
      expect(await bench.store.getEvent(event)).toBeDefined();
      await bench.clock.advance(DAY);
      await bench.store.pruneExecutions(await bench.store.expiredExecutions(10));
      await bench.store.pruneEvents(DAY, 10);
      expect(await bench.store.getEvent(event)).toBeUndefined();
    });

    it('keeps what was decided on an event as long as its identity is known', async () => {
      const event = await bench.accepted('1', 'trigger/a', { rememberMs: 20 * DAY });
      const cause = { kind: 'event', event, trigger: 'a' } as const;
      const execution = bench.execution({ retentionMs: DAY }, { cause });
      const skipped = {
        trigger: 'b',
        outcome: 'filtered',
        reason: 'no',
        clause: 'x',
        values: { y: 1 },
      } as const;
      await bench.store.decide({ event, decisions: [matched('a', execution), skipped] });
      await bench.store.cancelExecution(execution.name, 'ann');
      const before = await bench.store.eventOutcome(event);
      await bench.clock.advance(2 * DAY);
      await bench.store.pruneExecutions([execution.name]);
      await bench.store.pruneEvents(DAY, 10);
      const after = await bench.store.eventOutcome(event);
      const decisions = before?.decisions.map((one) => ({ ...one, values: null }));
      expect(after).toEqual({ decided: true, decisions });
      await bench.clock.advance(18 * DAY);
      await bench.store.pruneEvents(DAY, 10);
      expect(await bench.store.eventOutcome(event)).toBeUndefined();
    });

    it('removes expired identities and state rows, and leaves the others', async () => {
      const state = [
        { key: 'old', value: 1, expires: bench.clock.now() + HOUR },
        { key: 'young', value: 1, expires: bench.clock.now() + DAY },
        { key: 'lasting', value: 1 },
      ];
      await bench.store.acceptEvents({ origin: 'o', events: [], state });
      await bench.accepted('1', 'o', { rememberMs: HOUR });
      expect(await bench.store.pruneEvents(DAY, 10)).toBe(0);
      await bench.clock.advance(HOUR);
      expect(await bench.store.pruneEvents(DAY, 10)).toBe(2);
      const rows = await bench.store.scanState('o', '', null, 10);
      expect(rows.map(({ key }) => key)).toEqual(['lasting', 'young']);
    });
  });
}
