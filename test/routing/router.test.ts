import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { StoredEvent } from '../../src/core/event.ts';
import { Inbox } from '../../src/inbox/inbox.ts';
import type { InboxDeps } from '../../src/inbox/inbox.ts';
import { Router } from '../../src/routing/router.ts';
import type { RouterDeps } from '../../src/routing/router.ts';
import { byName, cloudEvent, job, storedEvent, trigger } from '../support/definitions.ts';
import { FakeLog } from '../support/fake-log.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { MemoryStore, refused } from '../support/memory-store.ts';
import { SeededIds } from '../support/seeded-ids.ts';
import { makeSqliteFixture } from '../support/sqlite-fixture.ts';

let clock: ManualClock;
let store: MemoryStore;
let log: FakeLog;
let woken: number;
let router: Router;
const triggers = byName(
  trigger({ name: 'a', origin: 'connection/s' }),
  trigger({ name: 'b', origin: 'connection/s', when: 'event.data.n > 1' }),
  trigger({ name: 'call' }),
);
beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
  log = new FakeLog();
  woken = 0;
  router = routerOf();
});

function routerOf(over: Partial<RouterDeps> = {}): Router {
  const limits = { maxTasks: 100, maxParallelism: 10 };
  const jobs = byName(job());
  return new Router({
    store,
    clock,
    ids: new SeededIds(9),
    triggers: () => triggers,
    jobs: () => jobs,
    limits: () => limits,
    onExecutions: () => woken++,
    log,
    ...over,
  });
}

/** As the inbox does, or as a gateway that died right after the accept. */
async function accept(route: InboxDeps['route'], n = 1, origin = 'connection/s'): Promise<string> {
  const inbox = new Inbox({ store, ids: new SeededIds(n), clock, route });
  const named = origin === 'connection/s' ? null : 'call';
  const result = await inbox.accept(origin, named, {
    events: [{ event: cloudEvent({ id: `e-${n}`, data: { n } }) }],
  });
  return result.outcome === 'stored' ? (result.events[0]?.uid ?? '') : '';
}
const decideNow = (events: readonly StoredEvent[]) => router.decideNow(events);
const nobody = async () => [];

describe('decideNow', () => {
  it('queues one decide per event before it returns', async () => {
    const uid = await accept(decideNow);
    expect(store.commits).toEqual([['accept', 'decide']]);
    expect(store.decisions(uid)?.map(({ trigger: name, outcome }) => [name, outcome])).toEqual([
      ['a', 'matched'],
      ['b', 'filtered'],
    ]);
    expect(woken).toBe(1);
  });

  it('decides with nothing where nobody listens, and wakes nobody', async () => {
    await store.acceptEvents({
      origin: 'api/x',
      state: [],
      events: [
        { uid: 'u', trigger: 'gone', event: cloudEvent(), claims: null, verdict: null, rememberMs: 1 },
      ],
    });
    await router.decideNow([storedEvent({ uid: 'u', trigger: 'gone' })]);
    expect(store.decisions('u')).toEqual([]);
    expect(woken).toBe(0);
  });

  it('decides nothing for an event that is gone', async () => {
    expect(await router.decideNow([storedEvent({ uid: 'never stored' })])).toEqual([undefined]);
    expect(store.decisions('never stored')).toBeNull();
  });

  it('answers even where a definition makes it throw', async () => {
    const broken = {
      ...trigger(),
      when: {
        text: 'x',
        evaluate: () => {
          throw new Error('bug');
        },
      },
    };
    const other = routerOf({ triggers: () => byName(broken) });
    const uid = await accept((events) => other.decideNow(events), 1, 'trigger/call');
    expect(store.decisions(uid)).toMatchObject([{ outcome: 'failed', reason: 'internal error: bug' }]);
    expect(log.lines).toMatchObject([{ level: 'error' }]);
  });
});

describe('a batch on a real store', () => {
  it('tells of each event what a read would, and nothing of a duplicate', async () => {
    const fixture = await makeSqliteFixture();
    onTestFinished(() => fixture.dispose());
    const { store: real, clock: time, ids } = fixture;
    const own = routerOf({ store: real, clock: time, ids });
    await real.syncDefinitions([{ kind: 'job', name: job().name, etag: 'e' }]);
    const box = new Inbox({ store: real, ids, clock: time, route: (events) => own.decideNow(events) });
    const of = (id: string, n: number) => ({ event: cloudEvent({ id, data: { n } }) });
    const events = [of('1', 1), of('1', 1), of('2', 2)];
    const result = await box.accept('connection/s', null, { events });
    const told = result.outcome === 'stored' ? result.events : [];
    const read = await Promise.all(told.map(({ uid }) => real.eventOutcome(uid)));
    expect(told.map(({ outcome }) => outcome)).toEqual(read);
    const outcomes = read.map((one) => one?.decisions.map(({ outcome }) => outcome));
    expect(outcomes).toEqual([['matched', 'filtered'], undefined, ['matched', 'matched']]);
  });

  it('tells a reason as it is stored, also of half a character', async () => {
    const fixture = await makeSqliteFixture();
    onTestFinished(() => fixture.dispose());
    const { store: real } = fixture;
    const uid = fixture.ids.uid();
    const event = { uid, trigger: null, event: cloudEvent(), claims: null, verdict: null, rememberMs: 1 };
    await real.acceptEvents({ origin: 'connection/s', events: [event], state: [] });
    const decision = { trigger: 'a', outcome: 'failed', reason: 'no \uD800', clause: '\uDC00' } as const;
    const told = await real.decide({ event: uid, decisions: [decision] });
    expect(told?.decisions[0]).toMatchObject({ reason: 'no \uFFFD', clause: '\uFFFD' });
    expect(told).toEqual(await real.eventOutcome(uid));
  });
});

describe('the executor', () => {
  it('is told in the turn that queues the decision, so that its claim shares the commit', async () => {
    const uid = await accept((events) => {
      const decided = router.decideNow(events);
      expect(woken).toBe(1);
      return decided;
    });
    expect(store.decisions(uid)).not.toBeNull();
    expect(woken).toBe(1);
  });
});

describe('the poll', () => {
  it('finds what was accepted and never decided, at the start and within a second', async () => {
    const before = await accept(nobody, 1);
    await router.start();
    expect(store.decisions(before)).toHaveLength(2);
    const later = await accept(nobody, 2);
    expect(store.decisions(later)).toBeNull();
    await clock.advance(1000);
    expect(store.decisions(later)).toHaveLength(2);
    await router.stop();
    expect(clock.pending).toBe(0);
  });

  it('goes on through an outage and tells of it once', async () => {
    await router.start();
    const uid = await accept(nobody);
    store.refuse = refused();
    await clock.advance(5000);
    expect(store.decisions(uid)).toBeNull();
    store.refuse = undefined;
    await clock.advance(1000);
    expect(store.decisions(uid)).toHaveLength(2);
    expect(log.lines).toHaveLength(1);
    await router.stop();
  });

  it('takes a long backlog page by page without a pause', async () => {
    const events = Array.from({ length: 1200 }, (_, i) => ({
      uid: `u${i}`,
      trigger: 'gone',
      event: cloudEvent({ id: `e${i}` }),
      claims: null,
      verdict: null,
      rememberMs: 1,
    }));
    await store.acceptEvents({ origin: 'api/x', events, state: [] });
    await router.start();
    await clock.advance(10);
    expect(await store.undecidedEvents(1)).toEqual([]);
    await router.stop();
  });

  it('may be stopped before it starts, and started twice', async () => {
    await router.stop();
    await router.start();
    await router.start();
    expect(clock.pending).toBe(1);
    await router.stop();
    await router.stop();
    expect(clock.pending).toBe(0);
  });
});

describe('waitDecided', () => {
  it('answers at once what is decided, and undefined for what is not stored', async () => {
    const uid = await accept(decideNow);
    expect(await router.waitDecided(uid, 0)).toMatchObject({ decided: true });
    expect(await router.waitDecided('nothing', 1000)).toBeUndefined();
  });

  it('is woken by the decision, not by the clock', async () => {
    const uid = await accept(nobody);
    const waiting = router.waitDecided(uid, 60_000);
    await settle();
    await router.decideNow(store.list());
    expect(await waiting).toMatchObject({ decided: true });
    expect(clock.pending).toBe(0);
  });

  it("finds another gateway's decision by looking", async () => {
    const uid = await accept(nobody);
    const waiting = router.waitDecided(uid, 60_000);
    await store.decide({ event: uid, decisions: [] });
    await clock.advance(250);
    expect(await waiting).toMatchObject({ decided: true });
  });

  it('gives up after the time', async () => {
    const uid = await accept(nobody);
    let answer: unknown = 'none';
    const waiting = router.waitDecided(uid, 600).then((outcome) => (answer = outcome));
    await settle();
    await clock.advance(599);
    expect(answer).toBe('none');
    await clock.advance(1);
    await waiting;
    expect(answer).toBeUndefined();
    expect(clock.pending).toBe(0);
  });
});
