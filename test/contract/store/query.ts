import { describe, expect, it } from 'vitest';
import type { Page } from '../../../src/core/store.ts';
import { expectCode } from './fixture.ts';
import type { Bench } from './fixture.ts';
import { matched } from './routing.ts';

/** All items of a list, page by page. */
async function everything<T>(list: (cursor: string | undefined) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = [];
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page: Page<T> = await list(cursor);
    items.push(...page.items);
    cursor = page.nextCursor;
  }
  return items;
}
const at = (size: number, cursor: string | undefined) => ({ size, ...(cursor !== undefined && { cursor }) });

export function queryContract(bench: Bench): void {
  describe('lists', () => {
    it('gives events newest first, filtered, in pages that miss and repeat nothing', async () => {
      const uids: string[] = [];
      for (let i = 0; i < 7; i++) {
        const origin = i % 2 === 0 ? 'trigger/a' : 'trigger/b';
        uids.unshift(await bench.accepted(String(i), origin, { trigger: i < 4 ? 'x' : null }));
      }
      const all = await everything((cursor) => bench.store.listEvents({}, at(2, cursor)));
      expect(all.map(({ uid }) => uid)).toEqual(uids);
      const exact = await bench.store.listEvents({}, { size: 7 });
      expect([exact.items.length, exact.nextCursor]).toEqual([7, null]);
      const ids = async (filter: Parameters<typeof bench.store.listEvents>[0]) =>
        (await everything((cursor) => bench.store.listEvents(filter, at(1, cursor)))).map(
          ({ event }) => event.id,
        );
      expect(await ids({ origin: 'trigger/b' })).toEqual(['5', '3', '1']);
      expect(await ids({ trigger: 'x', origin: 'trigger/a' })).toEqual(['2', '0']);
      expect(await ids({ type: 'test.happened', trigger: 'x' })).toEqual(['3', '2', '1', '0']);
      expect(await ids({ type: 'other' })).toEqual([]);
    });

    it('gives as the events of a trigger those that came for it alone and those that it has a decision on', async () => {
      const skip = { outcome: 'skipped', reason: 'paused' } as const;
      const cases: [origin: string, trigger: string | null, decided: readonly string[]][] = [
        ['connection/c', null, ['x', 'y']],
        ['connection/c', null, []],
        ['trigger/x', 'x', ['x']],
        ['connection/c', null, ['y']],
        ['connection/c', 'x', ['x']],
        ['connection/d', null, ['x']],
      ];
      for (const [i, [origin, trigger, decided]] of cases.entries()) {
        const event = await bench.accepted(String(i), origin, { trigger });
        await bench.store.decide({ event, decisions: decided.map((name) => ({ trigger: name, ...skip })) });
      }
      await bench.accepted('6', 'connection/c', { trigger: 'x' });
      await bench.accepted('7', 'connection/c');
      for (const size of [1, 2, 100]) {
        const ids = async (filter: Parameters<typeof bench.store.listEvents>[0]) =>
          (await everything((cursor) => bench.store.listEvents(filter, at(size, cursor)))).map(
            ({ event }) => event.id,
          );
        expect(await ids({ trigger: 'x' })).toEqual(['6', '5', '4', '2', '0']);
        expect(await ids({ trigger: 'y' })).toEqual(['3', '0']);
        expect(await ids({ trigger: 'x', origin: 'connection/c' })).toEqual(['6', '4', '0']);
        expect(await ids({ trigger: 'x', type: 'test.happened', origin: 'connection/d' })).toEqual(['5']);
        expect(await ids({ trigger: 'x', type: 'other' })).toEqual([]);
        expect(await ids({ trigger: 'z' })).toEqual([]);
      }
    });

    it('gives executions newest first by job, state, trigger and event', async () => {
      const event = await bench.accepted('1');
      const cause = { kind: 'event', event, trigger: 't' } as const;
      const caused = bench.execution({}, { job: 'b', cause });
      await bench.store.decide({ event, decisions: [matched('t', caused)] });
      const a = await bench.created({}, { job: 'a' });
      const b = await bench.created({}, { job: 'b' });
      await bench.store.cancelExecution(b, 'ann');
      const list = async (filter: Parameters<typeof bench.store.listExecutions>[0]) =>
        (await everything((cursor) => bench.store.listExecutions(filter, at(1, cursor)))).map(
          ({ name }) => name,
        );
      expect(await list({})).toEqual([b, a, caused.name]);
      expect(await list({ job: 'b' })).toEqual([b, caused.name]);
      expect(await list({ state: 'PENDING' })).toEqual([a, caused.name]);
      expect(await list({ job: 'b', state: 'CANCELLED' })).toEqual([b]);
      expect(await list({ trigger: 't' })).toEqual([caused.name]);
      expect(await list({ event, state: 'PENDING', job: 'b', trigger: 't' })).toEqual([caused.name]);
      expect(await list({ event, state: 'FAILED' })).toEqual([]);
    });

    it('gives decisions by event, and the newest of a trigger', async () => {
      const events = [await bench.accepted('1'), await bench.accepted('2'), await bench.accepted('3')];
      for (const event of events) {
        const skip = { outcome: 'skipped', reason: 'paused' } as const;
        const decisions = ['a', 'b', 'c'].map((trigger) => ({ trigger, ...skip }));
        await bench.store.decide({ event, decisions });
      }
      const list = async (filter: Parameters<typeof bench.store.listDecisions>[0]) =>
        (await everything((cursor) => bench.store.listDecisions(filter, at(2, cursor)))).map(
          ({ event, trigger }) => `${events.indexOf(event)}${trigger}`,
        );
      expect(await list({ trigger: 'b' })).toEqual(['2b', '1b', '0b']);
      expect((await list({ event: events[1] ?? '' })).toSorted()).toEqual(['1a', '1b', '1c']);
      expect(await list({ event: events[0] ?? '', trigger: 'c' })).toEqual(['0c']);
      expect(await list({ event: 'nope' })).toEqual([]);
      expect(await list({})).toHaveLength(9);
    });

    it('shows tasks by index, also those that have not started', async () => {
      const name = await bench.created({ taskCount: 5, parallelism: 2 });
      await bench.claim();
      const list = async () =>
        (await everything((cursor) => bench.store.listTasks(name, at(2, cursor)))).map(
          ({ index, state }) => `${index} ${state}`,
        );
      expect(await list()).toEqual(['0 RUNNING', '1 RUNNING', '2 PENDING', '3 PENDING', '4 PENDING']);
      await bench.store.cancelExecution(name, 'ann');
      expect(await list()).toEqual(['0 RUNNING', '1 RUNNING', '2 CANCELLED', '3 CANCELLED', '4 CANCELLED']);
      const task = await bench.store.getTask(name, 4);
      expect(task).toMatchObject({ execution: name, attempts: 0, startTime: null, state: 'CANCELLED' });
      expect(await bench.store.getTask(name, 5)).toBeUndefined();
      expect(await bench.store.getTask(name, -1)).toBeUndefined();
      expect(await bench.store.getTask('nope', 0)).toBeUndefined();
      expect(await bench.store.listTasks('nope', { size: 1 })).toEqual({ items: [], nextCursor: null });
      expect(await bench.store.listAttempts(name, 4)).toEqual([]);
    });

    it('tells when each attempt of all tasks was, by index and number', async () => {
      const name = await bench.created({ taskCount: 3, parallelism: 2, maxRetries: 1 });
      const [first] = await bench.claim();
      if (first === undefined) throw new Error('nothing to claim');
      await bench.finish(first.attempt, bench.exit(1));
      await bench.claim();
      const spans = await everything((cursor) => bench.store.listSpans(name, at(2, cursor)));
      expect(spans.map(({ index, attempt, state }) => `${index}.${attempt} ${state}`)).toEqual([
        '0.0 FAILED',
        '0.1 STARTING',
        '1.0 STARTING',
      ]);
      for (const { index, attempt, createTime, endTime } of spans) {
        const rows = await bench.store.listAttempts(name, index);
        expect(rows.find((row) => row.attempt === attempt)).toMatchObject({ createTime, endTime });
      }
      expect(await bench.store.listSpans('nope', { size: 1 })).toEqual({ items: [], nextCursor: null });
    });

    it('refuses sizes out of range and cursors that are not its own', async () => {
      await bench.created({ taskCount: 2 });
      for (const size of [0, -1, 1001, 1.5, Number.NaN]) {
        await expectCode(bench.store.listEvents({}, { size }), 'INVALID_ARGUMENT');
      }
      await bench.accepted('1');
      await bench.accepted('2');
      const { nextCursor } = await bench.store.listEvents({}, { size: 1 });
      const cursors = ['', 'x', '!!', 'bnVsbA', 'WyIxIl0', 'WzEsMl0', 'e30'];
      for (const cursor of cursors) {
        await expectCode(bench.store.listEvents({}, { size: 1, cursor }), 'INVALID_ARGUMENT');
        await expectCode(bench.store.listTasks('nope', { size: 1, cursor }), 'INVALID_ARGUMENT');
      }
      await expectCode(
        bench.store.listDecisions({}, { size: 1, cursor: nextCursor ?? '' }),
        'INVALID_ARGUMENT',
      );
      expect(await bench.store.getEvent('nope')).toBeUndefined();
      expect(await bench.store.getExecution('nope')).toBeUndefined();
    });

    it('counts what waits and what runs', async () => {
      await bench.accepted('1');
      await bench.created();
      await bench.created({ taskCount: 2, parallelism: 2 });
      await bench.claim(2);
      expect(await bench.store.counts()).toEqual({
        undecidedEvents: 1,
        pendingExecutions: 0,
        runningExecutions: 2,
        runningAttempts: 2,
      });
    });
  });
}
