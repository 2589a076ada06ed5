import { beforeEach, describe, expect, it } from 'vitest';
import type { Verify } from '../../src/core/auth.ts';
import type { RequestInfo, Source, SourceContext } from '../../src/core/source.ts';
import { Inbox } from '../../src/inbox/inbox.ts';
import { SourceHost } from '../../src/inbox/source-host.ts';
import type { HostedSource } from '../../src/inbox/source-host.ts';
import { cloudEvent } from '../support/definitions.ts';
import { FakeLog } from '../support/fake-log.ts';
import { FakeObjects } from '../support/fake-objects.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { SeededIds } from '../support/seeded-ids.ts';

class FakeSource implements Source {
  starts = 0;
  stops = 0;
  setBack = 0;
  failures: number;
  context: SourceContext | undefined;
  constructor(failures = 0) {
    this.failures = failures;
  }
  async start(context: SourceContext): Promise<void> {
    this.starts++;
    if (this.failures-- > 0) throw new Error('nothing there');
    this.context = context;
  }
  async stop(): Promise<void> {
    this.stops++;
  }
  clockSetBack(): void {
    this.setBack++;
  }
}
class FakeEndpoint extends FakeSource {
  async handle(request: Request, info: RequestInfo): Promise<Response> {
    return new Response(`${request.method} from ${info.remoteAddress}`);
  }
}
class FakeNotified extends FakeEndpoint {
  readonly knowsCallersByHeaders = true;
}
class FakeReceiver extends FakeEndpoint {
  async receive(_request: Request, info: RequestInfo): Promise<Response> {
    return new Response(`a file from ${info.remoteAddress}`);
  }
}
class FakeSchedule extends FakeSource {
  preview(from: number, count: number): readonly number[] {
    return Array.from({ length: count }, (_, i) => from + i);
  }
}

let clock: ManualClock;
let store: MemoryStore;
let log: FakeLog;
beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
  log = new FakeLog();
});

function host(sources: Record<string, Source>, over: Partial<HostedSource> = {}): SourceHost {
  const ids = new SeededIds();
  const inbox = new Inbox({ store, ids, clock, route: async () => [] });
  const waitDecided = (uid: string, withinMs: number) =>
    store.eventOutcome(uid).then((outcome) => (withinMs === 50 ? outcome : undefined));
  return new SourceHost(
    { inbox, store, waitDecided, clock, ids, log },
    Object.entries(sources).map(([name, source]) => ({
      name,
      kind: 'fake',
      origin: `trigger/${name}`,
      trigger: name,
      source,
      ...over,
    })),
  );
}
const states = (of: SourceHost) => of.health().map(({ name, state }) => `${name} ${state}`);
const request = () => new Request('http://localhost/hooks/x', { method: 'POST' });

describe('the context of a source', () => {
  it('is bound to its origin', async () => {
    const a = new FakeSource();
    const b = new FakeSource();
    await host({ a, b }).start();
    const accepted = await a.context?.accept({
      events: [{ event: cloudEvent() }],
      state: [{ key: 'k', value: 7 }],
    });
    expect(store.list()).toMatchObject([{ origin: 'trigger/a', trigger: 'a' }]);
    expect(await a.context?.readState('k')).toMatchObject({ value: 7 });
    expect(await b.context?.readState('k')).toBeUndefined();
    expect(await a.context?.scanState('', null, 10)).toHaveLength(1);
    const uid = accepted?.outcome === 'stored' ? (accepted.events[0]?.uid ?? '') : '';
    expect(await a.context?.outcome(uid, { until: 'decided', withinMs: 50 })).toMatchObject({
      decided: false,
    });
    expect(a.context?.newId()).not.toBe(b.context?.newId());
    expect(a.context?.clock).toBe(clock);
    expect(a.context?.verify).toBeUndefined();
  });

  it("may name one trigger of a connection's; without, all that listen to it consider the event", async () => {
    const source = new FakeSource();
    const objects = new FakeObjects(clock);
    const over = { origin: 'connection/store', trigger: null, objects };
    await host({ store: source }, over).start();
    await source.context?.accept({ events: [{ event: cloudEvent({ id: '1' }) }] });
    await source.context?.accept({ events: [{ event: cloudEvent({ id: '2' }) }], trigger: 'a' });
    expect(store.list()).toMatchObject([
      { origin: 'connection/store', trigger: null },
      { origin: 'connection/store', trigger: 'a' },
    ]);
    expect(source.context?.objects).toBe(objects);
  });

  it('shares one timer for all alarms, and passes on that the clock was set back', async () => {
    const sources = { a: new FakeSource(), b: new FakeSource() };
    await host(sources).start();
    const rung: string[] = [];
    sources.a.context?.alarms.at(clock.now() + 5000, () => rung.push('a'));
    sources.b.context?.alarms.at(clock.now() + 60_000, () => rung.push('b'));
    expect(clock.pending).toBe(1);
    await clock.advance(5000);
    expect(rung).toEqual(['a']);
    clock.set(clock.now() - 3_600_000);
    await clock.advance(30_000);
    expect([sources.a.setBack, sources.b.setBack]).toEqual([1, 1]);
  });
});

describe('starts', () => {
  it('are tried again with a growing pause, one source not holding up another', async () => {
    const bad = new FakeSource(8);
    const good = new FakeSource();
    const sources = host({ bad, good });
    expect(states(sources)).toEqual(['bad stopped', 'good stopped']);
    await sources.start();
    expect(sources.health()).toMatchObject([
      { state: 'failed', message: 'nothing there' },
      { state: 'running', message: null },
    ]);
    const seen = [clock.now()];
    let starts = bad.starts;
    while (bad.starts < 9) {
      await clock.advance(1000);
      if (bad.starts > starts) seen.push(clock.now());
      starts = bad.starts;
    }
    expect(seen.slice(1).map((at, i) => (at - (seen[i] ?? 0)) / 1000)).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    expect(sources.health()[0]).toMatchObject({
      name: 'bad',
      kind: 'fake',
      state: 'running',
      message: null,
      since: clock.now(),
    });
    expect(log.lines).toHaveLength(8);
  });

  it('that work out may leave a source without what it needs: it says so itself', async () => {
    const source = new FakeSource();
    let problem: { message: string; since: number } | undefined = { message: 'no store', since: 7 };
    Object.assign(source, { problem: () => problem });
    const sources = host({ source });
    expect(sources.health()).toMatchObject([{ state: 'stopped', message: null }]);
    await sources.start();
    expect(sources.health()).toMatchObject([{ state: 'failed', message: 'no store', since: 7 }]);
    problem = undefined;
    expect(sources.health()).toMatchObject([{ state: 'running', message: null, since: clock.now() }]);
    await sources.stop();
  });

  it('end with stop, which is legal at any time and twice', async () => {
    const bad = new FakeSource(99);
    const sources = host({ bad });
    await sources.stop();
    await sources.start();
    await sources.stop();
    await sources.stop();
    await clock.advance(120_000);
    expect(bad.starts).toBe(1);
    expect(states(sources)).toEqual(['bad stopped']);
    expect(clock.pending).toBe(0);
  });

  it('stop while a start is under way wins', async () => {
    let go = (): void => undefined;
    const slow = new FakeSource();
    slow.start = () => new Promise<void>((resolve) => (go = resolve));
    const sources = host({ slow });
    const starting = sources.start();
    expect(states(sources)).toEqual(['slow starting']);
    await sources.stop();
    go();
    await starting;
    expect(states(sources)).toEqual(['slow stopped']);
  });
});

describe('requests and previews', () => {
  it('reach the named source only', async () => {
    const sources = host({ hook: new FakeEndpoint(), tick: new FakeSchedule() });
    await sources.start();
    const answer = await sources.handle('trigger/hook', request(), { remoteAddress: '::1' });
    expect(await answer?.text()).toBe('POST from ::1');
    expect(sources.handle('trigger/tick', request(), { remoteAddress: '::1' })).toBeUndefined();
    expect(sources.handle('trigger/nobody', request(), { remoteAddress: '::1' })).toBeUndefined();
    expect(sources.preview('trigger/tick', 10, 2)).toEqual([10, 11]);
    expect(sources.preview('trigger/hook', 10, 2)).toBeUndefined();
    expect(sources.preview('trigger/nobody', 10, 2)).toBeUndefined();
  });

  it('are refused with a time to come back while the source is not running', async () => {
    const sources = host({ hook: new FakeEndpoint(1) });
    await sources.start();
    await expect(sources.handle('trigger/hook', request(), { remoteAddress: '::1' })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      fields: { retryAfter: 2 },
    });
  });

  describe('to a source that is not running and knows its callers by their headers', () => {
    const verify: Verify = async ({ headers, body }) =>
      headers.get('authorization') === 'Bearer good' && body.length === 0
        ? { ok: true, claims: {} }
        : { ok: false, reason: 'wrong' };
    const call = (of: SourceHost, token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      const sent = new Request('http://localhost/notify', { method: 'POST', headers, body: 'x' });
      return of.handle('trigger/hook', sent, { remoteAddress: '::1' });
    };

    it('are 401 for strangers, and only others hear when to come back', async () => {
      const sources = host({ hook: new FakeNotified(1) }, { verify });
      for (const start of [async () => undefined, () => sources.start(), () => sources.stop()]) {
        await start();
        expect((await call(sources, 'bad'))?.status).toBe(401);
        await expect(call(sources, 'good')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      }
    });

    it('are 401 at once while it starts, and others wait for the start', async () => {
      let go = (): void => undefined;
      const slow = new FakeNotified();
      slow.start = () => new Promise<void>((resolve) => (go = resolve));
      const sources = host({ hook: slow }, { verify });
      const starting = sources.start();
      expect((await call(sources, 'bad'))?.status).toBe(401);
      const answer = call(sources, 'good');
      await Promise.resolve();
      go();
      expect(await (await answer)?.text()).toBe('POST from ::1');
      await starting;
    });

    it('a body that becomes a file is for callers it knows, also while it does not run', async () => {
      const sources = host({ hook: new FakeReceiver(1), plain: new FakeEndpoint() }, { verify });
      const receive = (token: string, name = 'hook') => {
        const headers = { authorization: `Bearer ${token}` };
        const body = new Request('http://localhost/hooks/x', { method: 'POST', headers });
        return sources.receive(`trigger/${name}`, body, { remoteAddress: '::1' });
      };
      expect(receive('good', 'plain')).toBeUndefined();
      expect(receive('good', 'nothing')).toBeUndefined();
      for (const start of [async () => undefined, () => sources.start()]) {
        await start();
        expect(await receive('bad')).toBeUndefined();
        await expect(receive('good')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      }
      await clock.advance(1_000);
      expect(await (await receive('good'))?.text()).toBe('a file from ::1');
    });

    it('are 401 for everybody where nobody can be let in', async () => {
      const sources = host({ hook: new FakeNotified(1) });
      await sources.start();
      expect((await call(sources, 'good'))?.status).toBe(401);
    });
  });

  it('and the state of a trigger are asked of the source that it listens to', async () => {
    const source = new FakeSource();
    const told = { firstStart: 5, existing: { skipped: 3, complete: true } };
    Object.assign(source, { status: (trigger: string) => (trigger === 'up' ? told : undefined) });
    const sources = host({ store: source, tick: new FakeSchedule() });
    expect(sources.status('trigger/store', 'up')).toEqual(told);
    expect(sources.status('trigger/store', 'other')).toBeUndefined();
    expect(sources.status('trigger/tick', 'up')).toBeUndefined();
    expect(sources.status('trigger/nobody', 'up')).toBeUndefined();
  });
});
