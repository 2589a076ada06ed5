import { bearerVerifier } from '../../src/auth/shared-secret.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { StorageSourceSpec, TriggerDefinition } from '../../src/core/config.ts';
import { connectionOrigin } from '../../src/core/event.ts';
import type { NotificationSpec, ObjectStore } from '../../src/core/objects.ts';
import { SecretValue } from '../../src/core/secrets.ts';
import type { Store } from '../../src/core/store.ts';
import { Inbox } from '../../src/inbox/inbox.ts';
import { SourceHost } from '../../src/inbox/source-host.ts';
import { Router } from '../../src/routing/router.ts';
import type { SqliteStore } from '../../src/stores/sqlite/store.ts';
import { createConnectionSource } from '../../triggers/index.ts';
import { concerns } from '../../triggers/storage/config.ts';
import { byName, job, trigger } from './definitions.ts';
import { FakeLog } from './fake-log.ts';
import { FakeObjects } from './fake-objects.ts';
import { ManualClock, settle } from './manual-clock.ts';
import { SeededIds } from './seeded-ids.ts';
import { memoryStore } from './migrated.ts';

export const TOKEN = 'token-one';
export const ORIGIN = connectionOrigin('store');
const POLL_MS = 60_000;

export interface TriggerOptions extends Partial<Omit<StorageSourceSpec, 'kind' | 'connection'>> {
  readonly name?: string;
}

/** The way of an event of a connection called `store`, into the product's own store, in memory. */
export class StorageGateway<C extends Clock, O extends ObjectStore> {
  readonly clock: C;
  readonly objects: O;
  readonly log = new FakeLog();
  readonly ids = new SeededIds();
  readonly store: SqliteStore;
  pollMs = POLL_MS;
  dialect: NotificationSpec['dialect'] | undefined = 'minio';
  /** Puts something around the store of the gateways that start from now on. */
  wrap: (store: Store) => Store = (store) => store;
  host: SourceHost | undefined;
  #triggers: ReadonlyMap<string, TriggerDefinition> = new Map();

  constructor(clock: C, objects: O) {
    this.clock = clock;
    this.objects = objects;
    this.store = memoryStore(clock, this.ids);
  }

  async open(): Promise<this> {
    await this.store.open();
    return this;
  }

  /** A gateway with these triggers; the one before it stops first. */
  async start(...options: TriggerOptions[]): Promise<void> {
    await this.host?.stop();
    const definitions = options.map((one) => definition(one));
    this.#triggers = byName(...definitions);
    const { clock, ids, log, objects } = this;
    const store = this.wrap(this.store);
    const jobs = byName(job());
    const router = new Router({
      store,
      clock,
      ids,
      triggers: () => this.#triggers,
      jobs: () => jobs,
      limits: () => ({ maxTasks: 100, maxParallelism: 10 }),
      onExecutions: () => undefined,
      log,
    });
    const inbox = new Inbox({ store, ids, clock, log, route: (events) => router.decideNow(events) });
    const triggers = definitions.map(({ name, source }) => ({ name, spec: source as StorageSourceSpec }));
    const dialect = this.dialect === undefined ? {} : { dialect: this.dialect };
    const source = createConnectionSource({ connection: 'store', pollMs: this.pollMs, triggers, ...dialect });
    const verify = bearerVerifier(new SecretValue(TOKEN));
    const hosted = { name: 'store', kind: 'storage', origin: ORIGIN, trigger: null, source, verify, objects };
    const waitDecided = router.waitDecided.bind(router);
    this.host = new SourceHost({ inbox, store, waitDecided, clock, ids, log }, [hosted]);
    await this.host.start();
  }

  async notify(body: string | Uint8Array<ArrayBuffer>, token = TOKEN): Promise<number> {
    const request = new Request('http://gateway.test/notify/storage/store', {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body,
    });
    const response = await this.host?.handle(ORIGIN, request, { remoteAddress: '10.0.0.9' });
    return response?.status ?? 0;
  }

  /** What started, oldest first: `<trigger> <key>`. */
  async runs(): Promise<string[]> {
    const { items } = await this.store.listExecutions({}, { size: 1000 });
    const runs = items.map(async ({ cause }) => {
      if (cause.kind !== 'event') return 'by hand';
      const data = (await this.store.getEvent(cause.event))?.event.data as { name: string };
      return `${cause.trigger} ${data.name}`;
    });
    return (await Promise.all(runs)).reverse();
  }

  /** Oldest first. */
  async events() {
    return [...(await this.store.listEvents({}, { size: 1000 })).items].reverse();
  }

  /** State rows of the connection whose key begins so. */
  rows(prefix: string) {
    return this.store.scanState(ORIGIN, prefix, null, 10_000);
  }

  async close(): Promise<void> {
    await this.host?.stop();
    await this.store.close();
  }
}

/** Over a fake object store, by a clock that the test moves. */
export class StorageRig extends StorageGateway<ManualClock, FakeObjects> {
  constructor() {
    const clock = new ManualClock('2026-01-01T00:00:00Z');
    super(clock, new FakeObjects(clock));
  }

  override async start(...options: TriggerOptions[]): Promise<void> {
    await super.start(...options);
    await settle();
  }

  /** Lets the next listing by the clock happen. */
  async poll(): Promise<void> {
    await this.clock.advance(POLL_MS);
    await settle(40);
  }
}

function definition({ name = 'up', ...place }: TriggerOptions): TriggerDefinition {
  const spec: StorageSourceSpec = {
    kind: 'storage',
    connection: 'store',
    bucket: 'b',
    prefix: '',
    suffix: '',
    existing: 'skip',
    ...place,
  };
  return { ...trigger({ name, source: spec, origin: ORIGIN }), concerns: concerns(spec) };
}
