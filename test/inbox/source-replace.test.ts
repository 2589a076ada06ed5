import { beforeEach, describe, expect, it } from 'vitest';
import type { Verify } from '../../src/core/auth.ts';
import type { RequestInfo, Source, SourceContext } from '../../src/core/source.ts';
import { Inbox } from '../../src/inbox/inbox.ts';
import { SourceHost } from '../../src/inbox/source-host.ts';
import type { HostedSource } from '../../src/inbox/source-host.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { createSource } from '../../triggers/index.ts';
import { FakeLog } from '../support/fake-log.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { SeededIds } from '../support/seeded-ids.ts';

const INFO = { remoteAddress: '::1' };
const request = () => new Request('http://localhost/hooks/x', { method: 'POST' });

let clock: ManualClock;
let store: MemoryStore;
let log: FakeLog;
/** What the sources did, in order. */
let seen: string[];
beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
  log = new FakeLog();
  seen = [];
});

/** Says what happens to it; `gates` hold up its steps. */
class Endpoint implements Source {
  readonly #name: string;
  readonly #gates: { start?: Promise<void>; stop?: Promise<void>; handle?: Promise<void> };
  #context: SourceContext | undefined;
  constructor(
    name: string,
    gates: { start?: Promise<void>; stop?: Promise<void>; handle?: Promise<void> } = {},
  ) {
    this.#name = name;
    this.#gates = gates;
  }
  async start(context: SourceContext): Promise<void> {
    seen.push(`${this.#name} starts`);
    await this.#gates.start;
    this.#context = context;
  }
  async stop(): Promise<void> {
    seen.push(`${this.#name} stops`);
    this.#context = undefined;
    await this.#gates.stop;
    seen.push(`${this.#name} stopped`);
  }
  async handle(call: Request, _info: RequestInfo): Promise<Response> {
    const context = this.#context;
    if (context === undefined) return new Response(null, { status: 503 });
    await this.#gates.handle;
    const sender = await context.verify?.({ headers: call.headers, body: new Uint8Array(0) });
    return new Response(`${this.#name} ${String(sender?.ok ?? 'unchecked')}`);
  }
}

const hosted = (name: string, settings: unknown, source: Source, over: Partial<HostedSource> = {}) => ({
  name,
  kind: 'fake',
  origin: `trigger/${name}`,
  trigger: name,
  settings,
  source,
  ...over,
});
function host(...sources: HostedSource[]): SourceHost {
  const inbox = new Inbox({ store, ids: new SeededIds(), clock, route: async () => [] });
  const deps = { inbox, store, waitDecided: async () => undefined, clock, ids: new SeededIds(), log };
  return new SourceHost(deps, sources);
}
const answer = async (of: SourceHost, name: string): Promise<string | undefined> =>
  (await of.handle(`trigger/${name}`, request(), INFO))?.text();

describe('replace', () => {
  it('keeps the instance whose settings are the same, stops what is gone, starts what is new', async () => {
    const sources = host(
      hosted('same', { a: 1 }, new Endpoint('same')),
      hosted('other', 1, new Endpoint('other')),
      hosted('gone', 1, new Endpoint('gone')),
    );
    await sources.start();
    seen = [];
    await sources.replace([
      hosted('other', 2, new Endpoint('other-2')),
      hosted('same', { a: 1 }, new Endpoint('never')),
      hosted('fresh', 1, new Endpoint('fresh')),
    ]);
    expect(seen.toSorted()).toEqual(
      [
        'fresh starts',
        'gone stopped',
        'gone stops',
        'other stopped',
        'other stops',
        'other-2 starts',
      ].toSorted(),
    );
    expect(await answer(sources, 'same')).toBe('same unchecked');
    expect(await answer(sources, 'other')).toBe('other-2 unchecked');
    expect(sources.handle('trigger/gone', request(), INFO)).toBeUndefined();
    expect(sources.health().map(({ name, state }) => `${name} ${state}`)).toEqual([
      'other running',
      'same running',
      'fresh running',
    ]);
  });

  it('starts a changed one only when its forerunner has stopped; requests wait for that', async () => {
    const stop = deferred<void>();
    const sources = host(hosted('a', 1, new Endpoint('old', { stop: stop.promise })));
    await sources.start();
    const replaced = sources.replace([hosted('a', 2, new Endpoint('new'))]);
    const called = answer(sources, 'a');
    await settle();
    expect(seen).toEqual(['old starts', 'old stops']);
    expect(sources.health()).toMatchObject([{ state: 'starting' }]);
    stop.resolve();
    await replaced;
    expect(await called).toBe('new unchecked');
    expect(seen).toEqual(['old starts', 'old stops', 'old stopped', 'new starts']);
  });

  it('leaves a request under way to the one that took it', async () => {
    const hold = deferred<void>();
    const sources = host(hosted('a', 1, new Endpoint('old', { handle: hold.promise })));
    await sources.start();
    const under = answer(sources, 'a');
    await sources.replace([hosted('a', 2, new Endpoint('new'))]);
    expect(await answer(sources, 'a')).toBe('new unchecked');
    hold.resolve();
    expect(await under).toBe('old unchecked');
  });

  it('exchanges the check of callers of a source that goes on', async () => {
    const says =
      (ok: boolean): Verify =>
      async () =>
        ok ? { ok, claims: {} } : { ok, reason: 'no' };
    const endpoint = new Endpoint('a');
    const sources = host(hosted('a', 1, endpoint, { verify: says(true) }));
    await sources.start();
    expect(await answer(sources, 'a')).toBe('a true');
    await sources.replace([hosted('a', 1, new Endpoint('never'), { verify: says(false) })]);
    expect(await answer(sources, 'a')).toBe('a false');
    expect(seen).toEqual(['a starts']);
  });

  it('makes one without settings anew, and one of another kind', async () => {
    const sources = host(hosted('a', undefined, new Endpoint('a')), hosted('b', 1, new Endpoint('b')));
    await sources.start();
    await sources.replace([
      hosted('a', undefined, new Endpoint('a-2')),
      hosted('b', 1, new Endpoint('b-2'), { kind: 'another' }),
    ]);
    expect(await answer(sources, 'a')).toBe('a-2 unchecked');
    expect(await answer(sources, 'b')).toBe('b-2 unchecked');
  });

  it('starts one that failed before, changed or not, without waiting for its pause twice', async () => {
    const failing = new Endpoint('bad', { start: Promise.reject(new Error('nothing there')) });
    const sources = host(hosted('a', 1, failing));
    await sources.start();
    expect(sources.health()).toMatchObject([{ state: 'failed' }]);
    await sources.replace([hosted('a', 2, new Endpoint('good'))]);
    expect(await answer(sources, 'a')).toBe('good unchecked');
    expect(clock.pending).toBe(0);
  });

  it('before the start hosts the others only; after the stop does nothing', async () => {
    const sources = host(hosted('a', 1, new Endpoint('a')));
    await sources.replace([hosted('b', 1, new Endpoint('b'))]);
    expect(seen).toEqual(['a stops', 'a stopped']);
    await sources.start();
    expect(await answer(sources, 'b')).toBe('b unchecked');
    await sources.stop();
    seen = [];
    await sources.replace([hosted('c', 1, new Endpoint('c'))]);
    expect(seen.filter((what) => what.startsWith('c'))).toEqual([]);
  });

  it('a stop while a forerunner still stops wins', async () => {
    const stop = deferred<void>();
    const sources = host(hosted('a', 1, new Endpoint('old', { stop: stop.promise })));
    await sources.start();
    const replaced = sources.replace([hosted('a', 2, new Endpoint('new'))]);
    await sources.stop();
    stop.resolve();
    await replaced;
    expect(seen).not.toContain('new starts');
    expect(sources.health()).toMatchObject([{ state: 'stopped' }]);
  });
});

describe('a schedule', () => {
  const cron = (text: string): HostedSource => {
    const spec = { kind: 'cron' as const, cron: text, zone: 'UTC' };
    return hosted('tick', spec, createSource('tick', spec), { kind: 'cron' });
  };
  const slots = () => store.list().map(({ event }) => event.id);

  it('fires each slot once, whether it goes on over a reload or begins anew at a slot', async () => {
    clock = new ManualClock('2026-01-01T00:00:30Z');
    store = new MemoryStore(clock);
    const sources = host(cron('* * * * *'));
    await sources.start();
    await clock.advance(60_000);
    expect(slots()).toHaveLength(1);
    await sources.replace([cron('* * * * *')]);
    await clock.advance(60_000);
    expect(slots()).toHaveLength(2);
    // Due in between: the clock passes the slot, and the source is made anew before its alarm rings.
    clock.set('2026-01-01T00:03:00Z');
    await sources.replace([{ ...cron('* * * * *'), settings: 'written otherwise' }]);
    await clock.advance(30_000);
    expect(slots()).toHaveLength(3);
    expect(new Set(slots()).size).toBe(3);
    expect(slots().at(-1)).toContain('00:03:00');
    await sources.stop();
  });

  it('that is another begins now: what the old one missed is not its own', async () => {
    clock = new ManualClock('2026-01-01T00:00:30Z');
    store = new MemoryStore(clock);
    const sources = host(cron('0 3 * * *'));
    await sources.start();
    await clock.advance(3_600_000);
    await sources.replace([cron('*/10 * * * *')]);
    expect(slots()).toEqual([]);
    await clock.advance(600_000);
    expect(slots()).toHaveLength(1);
    await sources.stop();
  });
});
