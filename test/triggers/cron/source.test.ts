import { beforeEach, describe, expect, it } from 'vitest';
import { Inbox } from '../../../src/inbox/inbox.ts';
import { SourceHost } from '../../../src/inbox/source-host.ts';
import { createSource } from '../../../triggers/index.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { ManualClock, settle } from '../../support/manual-clock.ts';
import { MemoryStore, refused } from '../../support/memory-store.ts';
import { SeededIds } from '../../support/seeded-ids.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

let clock: ManualClock;
let store: MemoryStore;
let log: FakeLog;
let seed = 0;
beforeEach(() => {
  clock = new ManualClock('2026-01-01T00:00:30Z');
  store = new MemoryStore(clock);
  log = new FakeLog();
});

/** A gateway with one schedule; another call is a restart on the same store. */
async function start(cron = '* * * * *', zone = 'UTC', names = ['tick']): Promise<SourceHost> {
  const ids = new SeededIds(++seed);
  ids.uid = () => `u-${seed}-${store.events.size}-${ids.suffix(8)}`;
  const inbox = new Inbox({ store, ids, clock, route: async () => [] });
  const host = new SourceHost(
    { inbox, store, waitDecided: async () => undefined, clock, ids, log },
    names.map((name) => ({
      name,
      kind: 'cron',
      origin: `trigger/${name}`,
      trigger: name,
      source: createSource(name, { kind: 'cron', cron, zone }),
    })),
  );
  await host.start();
  return host;
}
/** Slots accepted, as `00:01`, with what was missed before them, and `late`. */
function slots(): string[] {
  return store.list().map(({ event, verdict }) => {
    const data = event.data as { missed: number };
    return [
      event.id.slice(11, 16),
      ...(data.missed > 0 ? [`+${data.missed}`] : []),
      ...(verdict ? [verdict.outcome] : []),
    ].join(' ');
  });
}

describe('a running schedule', () => {
  it('accepts each slot when it is due, with the cursor in the same accept', async () => {
    await start();
    expect(store.list()).toEqual([]);
    await clock.advance(29_999);
    expect(store.list()).toEqual([]);
    await clock.advance(1);
    expect(slots()).toEqual(['00:01']);
    expect(store.list()[0]).toMatchObject({
      origin: 'trigger/tick',
      trigger: 'tick',
      receiveTime: clock.now(),
    });
    await clock.advance(3 * MINUTE);
    expect(slots()).toEqual(['00:01', '00:02', '00:03', '00:04']);
    expect(store.commits.map((calls) => calls.length)).toEqual([1, 1, 1, 1, 1]);
    expect(store.state.get('trigger/tick cursor')?.value).toMatchObject({
      slot: Date.parse('2026-01-01T00:04:00Z'),
    });
    expect(clock.pending).toBe(1);
  });

  it('shares one commit with all that are due in the same instant', async () => {
    const names = Array.from({ length: 200 }, (_, i) => `t${i}`);
    await start('* * * * *', 'UTC', names);
    await clock.advance(30 * SECOND);
    expect(store.commits.map((calls) => calls.length)).toEqual([200, 200]);
  });

  it('goes by the wall clock of its zone', async () => {
    clock.set('2026-03-29T00:30:00Z');
    await start('0 3 * * *', 'Europe/Berlin');
    await clock.advance(DAY);
    // 03:00 on the day on which Berlin goes from +01:00 to +02:00.
    expect(store.list().map(({ event }) => event.id)).toEqual(['2026-03-29T01:00:00Z']);
  });

  it('stops, and does nothing after', async () => {
    const host = await start();
    await host.stop();
    await clock.advance(5 * MINUTE);
    expect(store.list()).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('tells its next times', async () => {
    const host = await start('0 12 * * *');
    const noon = Date.parse('2026-01-01T12:00:00Z');
    expect(host.preview('trigger/tick', noon, 2)).toEqual([noon, noon + DAY]);
    expect(host.preview('trigger/tick', noon + 1, 1)).toEqual([noon + DAY]);
    await host.stop();
  });
});

describe('after a time without a gateway', () => {
  it('fires the last slot, if it is within an hour, and counts the others', async () => {
    const host = await start('*/10 * * * *');
    await clock.advance(10 * MINUTE);
    await host.stop();
    await clock.advance(45 * MINUTE);
    await start('*/10 * * * *');
    expect(slots()).toEqual(['00:10', '00:50 +3']);
    expect(store.list()[1]?.event.data).toMatchObject({
      lateSeconds: 330,
      missedSince: '2026-01-01T00:20:00Z',
    });
    await clock.advance(5 * MINUTE);
    expect(slots()).toEqual(['00:10', '00:50 +3', '01:00']);
  });

  it('leaves a late row for an older one, and goes on with the next', async () => {
    await (await start('0 */2 * * *')).stop();
    clock.set('2026-01-01T05:30:00Z');
    await start('0 */2 * * *');
    expect(slots()).toEqual(['04:00 +1 late']);
    await clock.advance(30 * MINUTE);
    expect(slots()).toEqual(['04:00 +1 late', '06:00']);
  });

  it('fires nothing of the time before it was first started, or before its schedule was changed', async () => {
    await (await start('0 * * * *')).stop();
    await clock.advance(3 * HOUR);
    const changed = await start('*/5 * * * *');
    expect(slots()).toEqual([]);
    await clock.advance(5 * MINUTE);
    expect(slots()).toEqual(['03:05']);
    await changed.stop();
    await clock.advance(20 * MINUTE);
    await start('*/5 * * * *', 'Europe/Berlin');
    expect(slots()).toEqual(['03:05']);
  });

  it('repeats nothing when a crash came right after the accept', async () => {
    const host = await start();
    await clock.advance(30 * SECOND);
    // The alarms of the first live on: two gateways on one store.
    await start();
    await clock.advance(2 * MINUTE);
    expect(slots()).toEqual(['00:01', '00:02', '00:03']);
    await host.stop();
  });
});

describe('when the clock is set', () => {
  it('back by minutes: no slot twice, and on when the time has come again', async () => {
    await start();
    await clock.advance(3 * MINUTE);
    clock.set(clock.now() - 2 * MINUTE);
    await clock.advance(2 * MINUTE);
    expect(slots()).toEqual(['00:01', '00:02', '00:03']);
    await clock.advance(MINUTE);
    expect(slots()).toEqual(['00:01', '00:02', '00:03', '00:04']);
  });

  it('back by a day: the schedule lives on, and slots that were accepted stay once', async () => {
    await start('0 * * * *');
    await clock.advance(2 * HOUR);
    clock.set(clock.now() + DAY);
    await clock.advance(30 * SECOND);
    clock.set(clock.now() - DAY);
    await clock.advance(4 * HOUR);
    expect(store.list().map(({ event }) => event.id.slice(8, 13))).toEqual([
      '01T01',
      '01T02',
      '02T02',
      '01T03',
      '01T04',
      '01T05',
      '01T06',
    ]);
    await clock.advance(22 * HOUR);
    const ids = store.list().map(({ event }) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toHaveLength(2 + 26);
  });

  it('forward: as if nobody had been there', async () => {
    await start();
    clock.set('2026-01-01T00:10:15Z');
    await clock.advance(30 * SECOND);
    expect(slots()).toEqual(['00:10 +9']);
    clock.set('2026-01-01T09:30:15Z');
    await clock.advance(30 * SECOND);
    expect(slots()).toEqual(['00:10 +9', '09:30 +101']);
  });
});

describe('when the store refuses', () => {
  it('comes back with a growing pause to the slot that it first tried, then to the later ones', async () => {
    await start();
    store.refuse = refused();
    await clock.advance(4 * MINUTE);
    expect(store.list()).toEqual([]);
    const pauses = log.lines.map(({ fields }) => fields['retryInMs']);
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    store.refuse = undefined;
    await clock.advance(MINUTE);
    expect(slots()).toEqual(['00:01', '00:05 +3']);
  });

  it('does so too where only the accept is refused', async () => {
    await start();
    const accept = store.acceptEvents.bind(store);
    store.acceptEvents = () => Promise.reject(refused());
    await clock.advance(MINUTE);
    store.acceptEvents = accept;
    await clock.advance(MINUTE);
    expect(slots().slice(0, 2)).toEqual(['00:01', '00:02']);
  });

  it('starts later, through the host, where it refuses at the start', async () => {
    store.refuse = refused();
    const host = await start();
    expect(host.health()).toMatchObject([{ state: 'failed' }]);
    store.refuse = undefined;
    await clock.advance(30 * SECOND);
    expect(host.health()).toMatchObject([{ state: 'running' }]);
    expect(slots()).toEqual(['00:01']);
    await settle();
  });
});
