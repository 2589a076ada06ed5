import { Cron } from 'croner';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Inbox } from '../../../src/inbox/inbox.ts';
import { SourceHost } from '../../../src/inbox/source-host.ts';
import { createSource } from '../../../triggers/index.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { SeededIds } from '../../support/seeded-ids.ts';

const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Sydney'];

let clock: ManualClock;
/** croner's objects that were asked for a slot: it alone knows the last day of a month (`L`). */
let asked: () => Set<unknown>;
beforeEach(() => {
  clock = new ManualClock('2026-01-15T00:00:30Z');
  const spy = vi.spyOn(Cron.prototype, 'nextRun');
  asked = () => new Set(spy.mock.contexts.splice(0));
});

/** A gateway with as many schedules as are asked for; `cron` gives the text of each. */
async function start(
  count: number,
  cron: (i: number) => string,
): Promise<{ host: SourceHost; store: MemoryStore }> {
  const store = new MemoryStore(clock);
  const ids = new SeededIds(1);
  const inbox = new Inbox({ store, ids, clock, route: async () => [] });
  const host = new SourceHost(
    { inbox, store, waitDecided: async () => undefined, clock, ids, log: new FakeLog() },
    Array.from({ length: count }, (_, i) => ({
      name: `t${i}`,
      kind: 'cron',
      origin: `trigger/t${i}`,
      trigger: `t${i}`,
      source: createSource(`t${i}`, { kind: 'cron', cron: cron(i), zone: ZONES[i % ZONES.length] ?? 'UTC' }),
    })),
  );
  await host.start();
  return { host, store };
}

describe('many schedules', () => {
  it('arm one timer, before and after they fire', async () => {
    const { host, store } = await start(1000, (i) => `${i % 60} ${i % 24} * * *`);
    expect(clock.pending).toBe(1);
    await clock.advance(2 * 3_600_000);
    expect(store.list().length).toBeGreaterThan(50);
    expect(clock.pending).toBe(1);
    await host.stop();
    expect(clock.pending).toBe(0);
  });

  it('of the same text share one compiled schedule, in all zones', async () => {
    const { host } = await start(500, (i) => `7 ${i % 2 === 0 ? 3 : 4} L * *`);
    expect(asked().size).toBe(2);
    await host.stop();
  });

  it('of different texts keep no compiled schedule each: one that was not asked for long is made again', async () => {
    const { host } = await start(200, (i) => `${i % 60} ${Math.floor(i / 60)} L * *`);
    const first = asked();
    expect(first.size).toBe(200);
    const again = (name: string): boolean => {
      host.preview(`trigger/${name}`, clock.now(), 1);
      const now = [...asked()];
      return now.length > 0 && now.every((one) => first.has(one));
    };
    expect(again('t199')).toBe(true);
    expect(again('t0')).toBe(false);
    await host.stop();
  });
});
