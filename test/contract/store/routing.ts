import { describe, expect, it } from 'vitest';
import type { NewExecution } from '../../../src/core/execution.ts';
import type { NewDecision } from '../../../src/core/store.ts';
import { expectCode } from './fixture.ts';
import type { Bench } from './fixture.ts';

export const matched = (trigger: string, execution: NewExecution): NewDecision => ({
  trigger,
  outcome: 'matched',
  reason: 'when was true',
  execution,
});

export function routingContract(bench: Bench): void {
  const caused = (event: string, trigger = 'a'): NewExecution =>
    bench.execution({}, { cause: { kind: 'event', event, trigger } });

  describe('decide', () => {
    it('stores every decision and its execution with the event, once', async () => {
      const event = await bench.accepted('1');
      const execution = caused(event);
      const filtered: NewDecision = {
        trigger: 'b',
        outcome: 'filtered',
        reason: 'size is 0',
        clause: 'event.data.size > 0',
        values: { 'event.data.size': 0 },
      };
      await bench.clock.advance(5);
      const decisions = [filtered, matched('a', execution)];
      const told = await bench.store.decide({ event, decisions });
      expect(await bench.store.decide({ event, decisions })).toBeUndefined();

      expect((await bench.store.getEvent(event))?.decideTime).toBe(bench.clock.now());
      expect(await bench.store.getExecution(execution.name)).toMatchObject({
        ...execution,
        state: 'PENDING',
      });
      const outcome = await bench.store.eventOutcome(event);
      const decideTime = bench.clock.now();
      const ofA = {
        event,
        trigger: 'a',
        outcome: 'matched',
        reason: 'when was true',
        clause: null,
        values: null,
        execution: execution.name,
        decideTime,
      };
      const ofB = { event, ...filtered, execution: null, decideTime };
      expect(outcome).toEqual({ decided: true, decisions: [ofA, ofB] });
      expect(told).toEqual(outcome);
    });

    it('commits together with the acceptEvents of its turn', async () => {
      const event = bench.event('1');
      const execution = caused(event.uid);
      const accepted = bench.store.acceptEvents({ origin: 'trigger/a', events: [event], state: [] });
      const decided = bench.store.decide({ event: event.uid, decisions: [matched('a', execution)] });
      expect(await bench.store.getEvent(event.uid)).toBeUndefined();
      expect(await decided).toMatchObject({ decided: true });
      expect(await accepted).toMatchObject({ outcome: 'stored' });
      expect(await bench.store.getExecution(execution.name)).toBeDefined();
    });

    it('tells nothing of an event that turned out to be a duplicate, and starts nothing', async () => {
      await bench.accepted('1');
      const again = bench.event('1');
      const execution = caused(again.uid);
      const [, decided] = await Promise.all([
        bench.store.acceptEvents({ origin: 'trigger/a', events: [again], state: [] }),
        bench.store.decide({ event: again.uid, decisions: [matched('a', execution)] }),
      ]);
      expect(decided).toBeUndefined();
      expect(await bench.store.getExecution(execution.name)).toBeUndefined();
    });

    it('stores nothing where an execution name is taken', async () => {
      const taken = await bench.created();
      const event = await bench.accepted('1');
      const [first, second] = [caused(event), { ...caused(event, 'b'), name: taken }];
      const decisions = [matched('a', first), matched('b', second)];
      await expectCode(bench.store.decide({ event, decisions }), 'CONFLICT');
      expect(await bench.store.getExecution(first.name)).toBeUndefined();
      expect(await bench.store.eventOutcome(event)).toEqual({ decided: false, decisions: [] });
    });

    it('refuses two decisions of one trigger on one event', async () => {
      const event = await bench.accepted('1');
      const decisions = [matched('a', caused(event)), matched('a', caused(event))];
      await expectCode(bench.store.decide({ event, decisions }), 'CONFLICT');
    });
  });

  it('undecidedEvents gives what has no answer, oldest first', async () => {
    const uids = [];
    for (const id of ['1', '2', '3', '4']) uids.push(await bench.accepted(id));
    await bench.store.decide({ event: uids[1] ?? '', decisions: [] });
    const undecided = await bench.store.undecidedEvents(2);
    expect(undecided.map(({ uid }) => uid)).toEqual([uids[0], uids[2]]);
    expect(await bench.store.counts()).toMatchObject({ undecidedEvents: 3 });
  });

  it('eventOutcome tells an event that no trigger considered from one that is not decided yet', async () => {
    const [other, event] = [await bench.accepted('1'), await bench.accepted('2')];
    await bench.store.decide({ event: other, decisions: [matched('a', caused(other))] });
    expect(await bench.store.eventOutcome(event)).toEqual({ decided: false, decisions: [] });
    await bench.store.decide({ event, decisions: [] });
    expect(await bench.store.eventOutcome(event)).toEqual({ decided: true, decisions: [] });
  });

  it('eventOutcome is undefined for an event that is not stored', async () => {
    expect(await bench.store.eventOutcome('nope')).toBeUndefined();
  });

  it('syncDefinitions gives lasting identities and counts generations', async () => {
    const job = { kind: 'job', name: 'x', etag: 'e1' } as const;
    const trigger = { kind: 'trigger', name: 'x', etag: 'e1' } as const;
    const [first, second] = await bench.store.syncDefinitions([job, trigger]);
    const createTime = bench.clock.now();
    expect(first).toMatchObject({
      ...job,
      generation: 1,
      creator: 'config',
      createTime,
      updateTime: createTime,
    });
    expect(second?.uid).not.toBe(first?.uid);

    await bench.clock.advance(1000);
    const [changed] = await bench.store.syncDefinitions([{ ...job, etag: 'e2' }]);
    expect(changed).toMatchObject({
      uid: first?.uid,
      generation: 2,
      createTime,
      updateTime: createTime + 1000,
    });
    const [same, back] = await bench.store.syncDefinitions([{ ...job, etag: 'e2' }, trigger]);
    expect(same).toEqual(changed);
    expect(back).toMatchObject({ uid: second?.uid, generation: 1 });
    const store = await bench.fixture.reopen();
    expect(await store.syncDefinitions([{ ...job, etag: 'e2' }])).toEqual([changed]);
  });
}
