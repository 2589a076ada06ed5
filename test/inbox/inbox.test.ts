import { beforeEach, describe, expect, it } from 'vitest';
import type { CloudEvent, StoredEvent } from '../../src/core/event.ts';
import { isTappetError } from '../../src/core/errors.ts';
import { Inbox, REMEMBER_MS } from '../../src/inbox/inbox.ts';
import type { InboxDeps } from '../../src/inbox/inbox.ts';
import { cloudEvent } from '../support/definitions.ts';
import { FakeLog } from '../support/fake-log.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryStore, refused } from '../support/memory-store.ts';
import { SeededIds } from '../support/seeded-ids.ts';

const clock = new ManualClock();
let store: MemoryStore;
let log: FakeLog;
beforeEach(() => {
  store = new MemoryStore(clock);
  log = new FakeLog();
});

function inbox(over: Partial<InboxDeps> = {}): Inbox {
  const route = (events: readonly StoredEvent[]) =>
    Promise.all(events.map((event) => store.decide({ event: event.uid, decisions: [] })));
  return new Inbox({ store, ids: new SeededIds(), clock, route, log, ...over });
}

describe('accept', () => {
  it('stores, and has the event decided in the same commit', async () => {
    const result = await inbox().accept('trigger/a', 'a', { events: [{ event: cloudEvent() }] });
    const uid = store.list()[0]?.uid;
    const outcome = { decided: true, decisions: [] };
    expect(result).toEqual({ outcome: 'stored', events: [{ uid, outcome }] });
    expect(store.commits).toEqual([['accept', 'decide']]);
    expect(store.list()[0]).toMatchObject({ origin: 'trigger/a', trigger: 'a', decideTime: clock.now() });
  });

  it('tells what became of each event that was decided, and of no other', async () => {
    const first = { decided: true, decisions: [] };
    const of = (id: string) => ({ event: cloudEvent({ id }) });
    const box = inbox({ route: async () => [undefined, first] });
    const result = await box.accept('trigger/a', 'a', { events: [of('1'), of('2')] });
    const uids = store.list().map(({ uid }) => uid);
    expect(result).toEqual({
      outcome: 'stored',
      events: [{ uid: uids[0] }, { uid: uids[1], outcome: first }],
    });
  });

  it('hands routing what the store gets', async () => {
    let routed: readonly StoredEvent[] = [];
    const route = async (events: readonly StoredEvent[]) => {
      routed = events;
      return [];
    };
    const verdict = { outcome: 'late', reason: 'too old' } as const;
    const events = [{ event: cloudEvent(), claims: { sub: 'x' }, verdict }];
    await inbox({ route }).accept('connection/s', null, { events });
    expect(routed).toEqual(store.list());
    expect(routed[0]).toMatchObject({ claims: { sub: 'x' }, verdict, trigger: null });
  });

  it('remembers identities for 30 days unless the source says otherwise', async () => {
    const remembered: number[] = [];
    const spy = {
      ...noReads,
      acceptEvents: (params: Parameters<MemoryStore['acceptEvents']>[0]) => {
        remembered.push(...params.events.map((event) => event.rememberMs));
        return store.acceptEvents(params);
      },
    };
    const events = [{ event: cloudEvent() }, { event: cloudEvent({ id: 'e-2' }), rememberMs: 5 }];
    await inbox({ store: spy }).accept('trigger/a', 'a', { events });
    expect(remembered).toEqual([REMEMBER_MS, 5]);
    expect(REMEMBER_MS).toBeGreaterThan(75 * 3_600_000);
  });

  it('tells of a duplicate and decides nothing for it', async () => {
    const door = inbox();
    const first = await door.accept('trigger/a', 'a', { events: [{ event: cloudEvent() }] });
    const again = await door.accept('trigger/a', 'a', { events: [{ event: cloudEvent() }] });
    const uid = first.outcome === 'stored' ? first.events[0]?.uid : undefined;
    expect(again).toMatchObject({ outcome: 'stored', events: [{ duplicateOf: uid }] });
    expect(store.list()).toHaveLength(1);
  });

  it('writes state without any event, and routes nothing then', async () => {
    const state = [{ key: 'k', expect: null, value: 1 }];
    expect(await inbox().accept('trigger/a', 'a', { events: [], state })).toEqual({
      outcome: 'stored',
      events: [],
    });
    const conflict = await inbox().accept('trigger/a', 'a', { events: [{ event: cloudEvent() }], state });
    expect(conflict).toEqual({ outcome: 'conflict', key: 'k' });
    expect(store.list()).toEqual([]);
  });
});

const noReads = { readState: async () => undefined, scanState: async () => [] };

describe('when something refuses', () => {
  it.each([
    ['rejects', () => Promise.reject(new Error('routing broke'))],
    [
      'throws',
      () => {
        throw new Error('routing broke');
      },
    ],
  ])('an event stays accepted where routing %s', async (_, route) => {
    const result = await inbox({ route }).accept('trigger/a', 'a', { events: [{ event: cloudEvent() }] });
    expect(result.outcome).toBe('stored');
    expect(store.list()[0]?.decideTime).toBeNull();
    expect(log.lines).toMatchObject([{ level: 'warn', message: 'accepted events wait for their decision' }]);
  });

  it('the sender hears it where the store refuses', async () => {
    store.refuse = refused();
    const accepting = inbox().accept('trigger/a', 'a', { events: [{ event: cloudEvent() }] });
    await expect(accepting).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  it('the log does not say that events wait which were not stored', async () => {
    store.refuse = refused();
    const route = () => Promise.reject(refused());
    const accepting = inbox({ route }).accept('trigger/a', 'a', { events: [{ event: cloudEvent() }] });
    await expect(accepting).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(log.lines).toEqual([]);
  });
});

describe('what is no CloudEvent', () => {
  it.each<[string, Record<string, unknown>]>([
    ['specversion', { specversion: '0.3' }],
    ['id', { id: '' }],
    ['id', { id: 5 }],
    ['id', { id: 'x'.repeat(2049) }],
    ['source', { source: '' }],
    ['type', { type: '\0' }],
    ['subject', { subject: '' }],
    ['time', { time: 'yesterday' }],
    ['time', { time: '2026-13-01T00:00:00Z' }],
    ['time', { time: '2026-01-01' }],
    ['extensions.Shard', { extensions: { Shard: 'x' } }],
    ['extensions.subject', { extensions: { subject: 'x' } }],
    ['extensions.aaaaaaaaaaaaaaaaaaaaa', { extensions: { aaaaaaaaaaaaaaaaaaaaa: 'x' } }],
    ['extensions.shard', { extensions: { shard: { no: 'objects' } } }],
    ['data', { data: 'x'.repeat(99) }],
  ])('is refused with the place: %s in %j', async (path, over) => {
    const event = { ...cloudEvent(), ...over } as unknown as CloudEvent;
    const error = await inbox({ maxDataBytes: () => 100 })
      .accept('trigger/a', 'a', { events: [{ event: cloudEvent({ id: 'good' }) }, { event }] })
      .catch((thrown: unknown) => thrown);
    expect(isTappetError(error, 'INVALID_ARGUMENT') && error.fields.path).toBe(path);
    expect(store.list()).toEqual([]);
  });

  it('takes what is just within the bounds', async () => {
    const extensions = { a: 1, b: true, abcdefghij0123456789: 'x' };
    const event = cloudEvent({
      id: 'x'.repeat(2048),
      extensions,
      data: 'x'.repeat(98),
      time: '2026-01-01t00:00:00.5+01:00',
    });
    const result = await inbox({ maxDataBytes: () => 100 }).accept('trigger/a', 'a', { events: [{ event }] });
    expect(result.outcome).toBe('stored');
  });

  it('refuses more events at once than one commit should hold', async () => {
    const events = Array.from({ length: 1001 }, (_, i) => ({ event: cloudEvent({ id: `e${i}` }) }));
    await expect(inbox().accept('trigger/a', 'a', { events })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});
