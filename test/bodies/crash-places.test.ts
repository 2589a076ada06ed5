import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BodyFiles, ORPHAN_MS } from '../../src/bodies/body-files.ts';
import type { Bodies } from '../../src/core/bodies.ts';
import type { InboxStore } from '../../src/core/store.ts';
import { Inbox } from '../../src/inbox/inbox.ts';
import { SourceHost } from '../../src/inbox/source-host.ts';
import { BodyRetention } from '../../src/maintenance/body-retention.ts';
import { EventRetention } from '../../src/maintenance/event-retention.ts';
import type { SqliteStore } from '../../src/stores/sqlite/store.ts';
import { createWebhookSource } from '../../triggers/webhook/source.ts';
import { FakeLog } from '../support/fake-log.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { memoryStore } from '../support/migrated.ts';
import { SeededIds } from '../support/seeded-ids.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** A step that the process does not live to see the end of. */
const dead = <T>(): Promise<T> => new Promise<T>(() => undefined);
const FILM = 'film '.repeat(1000);

interface Ports {
  readonly bodies?: (bodies: Bodies) => Bodies;
  readonly store?: (store: SqliteStore) => Pick<InboxStore, 'acceptEvents' | 'readState' | 'scanState'>;
}

/** What outlives a process. */
class Machine {
  readonly dir = join(tempFolder(), 'bodies');
  readonly clock = new ManualClock(Date.now());
  readonly ids = new SeededIds();
  readonly store = memoryStore(this.clock, this.ids);
  /** Events that a sender was told of. */
  readonly acknowledged = new Set<string>();

  names(): string[] {
    return existsSync(this.dir) ? readdirSync(this.dir).toSorted() : [];
  }

  /** A process of the gateway; one that came before holds nothing any more. */
  async boot({ bodies: wrapBodies, store: wrapStore }: Ports = {}) {
    const { store, clock, ids, dir } = this;
    const files = new BodyFiles({ dir, clock });
    const inbox = new Inbox({
      store: wrapStore?.(store) ?? store,
      ids,
      clock,
      route: (events) => Promise.all(events.map(({ uid }) => store.decide({ event: uid, decisions: [] }))),
    });
    const host = new SourceHost(
      {
        inbox,
        store,
        bodies: wrapBodies?.(files) ?? files,
        waitDecided: (uid) => store.eventOutcome(uid),
        clock,
        ids,
        log: new FakeLog(),
      },
      [
        {
          name: 'call',
          kind: 'webhook',
          origin: 'trigger/call',
          trigger: 'call',
          source: createWebhookSource({
            name: 'call',
            spec: { kind: 'webhook', auth: { addresses: ['::/0'] }, bodyFile: { maxBytes: 1e6 } },
          }),
          verify: async () => ({ ok: true, claims: {} }),
        },
      ],
    );
    await host.start();
    return { host, files };
  }

  async send(
    host: SourceHost,
    body: string | ReadableStream<Uint8Array> = FILM,
  ): Promise<number | undefined> {
    const request = new Request('http://127.0.0.1/hooks/call', {
      method: 'POST',
      headers: { 'idempotency-key': 'k', 'content-type': 'video/mp4' },
      body,
      duplex: 'half',
    });
    const response = await host.receive('trigger/call', request, { remoteAddress: '192.0.2.1' });
    const answer = (await response?.json()) as { event: string };
    if (response?.ok === true) this.acknowledged.add(answer.event);
    return response?.status;
  }

  /** After the next sweep of another process: what breaks a promise, whatever happened before. */
  async broken(): Promise<string[]> {
    const { files } = await this.boot();
    await this.clock.advance(ORPHAN_MS + 60_000);
    await new BodyRetention({ store: this.store, bodies: files }).runOnce();
    const { items } = await this.store.listEvents({}, { size: 100 });
    const stored = new Set(items.map(({ uid }) => uid));
    const names = this.names();
    const whole = (uid: string) => names.includes(uid) && readFileSync(join(this.dir, uid), 'utf8') === FILM;
    return [
      ...[...this.acknowledged].filter((uid) => !stored.has(uid)).map((uid) => `lost: ${uid}`),
      ...[...stored].filter((uid) => !whole(uid)).map((uid) => `without its body: ${uid}`),
      ...names.filter((name) => !stored.has(name)).map((name) => `left behind: ${name}`),
    ];
  }
}

/** Sends half of the body, and never the rest. */
const half = (): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (controller) => {
      controller.enqueue(new TextEncoder().encode(FILM.slice(0, FILM.length / 2)));
      onTestFinished(() => controller.error(new Error('over')));
    },
  });
const accepting = (
  store: SqliteStore,
  acceptEvents: InboxStore['acceptEvents'],
): ReturnType<NonNullable<Ports['store']>> => ({
  acceptEvents,
  readState: (...args) => store.readState(...args),
  scanState: (...args) => store.scanState(...args),
});

/** Its gateway has taken a film, and told so. */
async function taken(): Promise<Machine> {
  const machine = new Machine();
  await machine.store.open();
  const { host } = await machine.boot();
  await machine.send(host);
  return machine;
}

describe('the process ends, and the sender sends again', () => {
  it.each<[string, Ports, 'film' | 'half', RegExp[]]>([
    ['before the file is made', { bodies: () => ({ receive: () => dead() }) }, 'film', []],
    ['in the middle of the file', {}, 'half', [/\.part$/]],
    [
      'when the file is whole, before its event is stored',
      { store: (store) => accepting(store, () => dead()) },
      'film',
      [/^[0-9a-f-]+$/],
    ],
    [
      'when the event is stored, before the answer',
      { store: (store) => accepting(store, (params) => store.acceptEvents(params).then(() => dead())) },
      'film',
      [/^[0-9a-f-]+$/],
    ],
  ])('%s', async (_name, ports, body, left) => {
    const machine = new Machine();
    await machine.store.open();
    const first = await machine.boot(ports);
    void machine.send(first.host, body === 'half' ? half() : FILM);
    const expected = left.map((pattern) => expect.stringMatching(pattern) as unknown);
    await expect.poll(() => machine.names(), { timeout: 5_000 }).toEqual(expected);
    const { host } = await machine.boot();
    expect(await machine.send(host)).toBe(202);
    expect(machine.acknowledged.size).toBe(1);
    expect(await machine.broken()).toEqual([]);
    await machine.store.close();
  });

  it('where a duplicate was found, before its file is removed', async () => {
    const machine = await taken();
    const kept: Ports['bodies'] = (bodies) => ({
      receive: async (...args) => ({ ...(await bodies.receive(...args)), drop: () => dead() }),
    });
    const second = await machine.boot({ bodies: kept });
    void machine.send(second.host);
    const whole = expect.not.stringContaining('.part') as unknown;
    await expect.poll(() => machine.names(), { timeout: 5_000 }).toEqual([whole, whole]);
    expect(await machine.broken()).toEqual([]);
    expect(machine.names()).toHaveLength(1);
    await machine.store.close();
  });

  it('where the event was removed with its retention, before its file is', async () => {
    const machine = await taken();
    expect(await machine.broken()).toEqual([]);
    expect(machine.names()).toHaveLength(1);
    const retention = new EventRetention({ store: machine.store, retentionMs: () => 60_000 });
    expect(await retention.runOnce()).toBe(1);
    machine.acknowledged.clear();
    expect(await machine.broken()).toEqual([]);
    expect(machine.names()).toEqual([]);
    await machine.store.close();
  });
});
