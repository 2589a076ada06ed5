import type { Clock } from '../../src/core/clock.ts';
import type { CloudEvent } from '../../src/core/event.ts';
import type { Ids } from '../../src/core/ids.ts';
import type { Source, SourceContext } from '../../src/core/source.ts';
import type { AcceptResult, InboxStore, RoutingStore } from '../../src/core/store.ts';
import { Inbox } from '../../src/inbox/inbox.ts';
import { SourceHost } from '../../src/inbox/source-host.ts';
import { Router } from '../../src/routing/router.ts';
import { SqliteStore } from '../../src/stores/sqlite/store.ts';
import { createSource } from '../../triggers/index.ts';
import { FakeLog } from '../support/fake-log.ts';
import { ENDPOINTS, JOBS, SCHEDULES, TRIGGERS } from './scenario.ts';
import type { VirtualDisk } from './virtual-disk.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What the parts under simulation use of a store; an ablation wraps it. */
export type SimStore = InboxStore & RoutingStore;
export type WrapStore = (store: SimStore) => SimStore;

/** Takes deliveries for its endpoint, as the webhook source does after its checks. */
class Receiver implements Source {
  #context: SourceContext | undefined;
  async start(context: SourceContext): Promise<void> {
    this.#context = context;
  }
  async stop(): Promise<void> {
    this.#context = undefined;
  }
  async deliver(event: CloudEvent): Promise<AcceptResult> {
    if (this.#context === undefined) throw new Error('connection refused');
    return this.#context.accept({ events: [{ event }] });
  }
}

export interface GatewayParams {
  readonly time: VirtualTime;
  readonly disk: VirtualDisk;
  readonly ids: Ids;
  readonly wrap: WrapStore;
}

/**
 * One life of the gateway's process: production code over virtual time and disk. When it has died its timers and
 * commits do not happen, and nobody hears its answers; promises of it that still run change nothing.
 */
export class SimGateway {
  alive = true;
  readonly store: SqliteStore;
  readonly host: SourceHost;
  readonly router: Router;
  readonly log = new FakeLog();
  readonly #receivers = new Map<string, Receiver>();
  /** Commits that the store has ordered for the end of the turn. */
  #flushes: (() => void)[] = [];
  /** What `start` failed with. */
  failed: unknown;

  constructor({ time, disk, ids, wrap }: GatewayParams) {
    const clock: Clock = time.clockOf(this);
    const schedule = (flush: () => void): void => void this.#flushes.push(flush);
    this.store = new SqliteStore({ path: ':memory:', clock, ids, schedule, connect: disk.connect });
    const store = wrap(this.store);
    const limits = { maxTasks: 100, maxParallelism: 10 };
    this.router = new Router({
      store,
      clock,
      ids,
      triggers: () => TRIGGERS,
      jobs: () => JOBS,
      limits: () => limits,
      onExecutions: () => undefined,
      log: this.log,
    });
    const inbox = new Inbox({
      store,
      ids,
      clock,
      route: (events) => this.router.decideNow(events),
      log: this.log,
    });
    const waitDecided = this.router.waitDecided.bind(this.router);
    this.host = new SourceHost({ inbox, store, waitDecided, clock, ids, log: this.log }, this.#sources());
  }

  /** Never rejects: what went wrong is in `failed`. */
  async start(): Promise<void> {
    try {
      await this.store.open();
      await Promise.all([this.host.start(), this.router.start()]);
    } catch (error) {
      this.failed = error;
    }
  }

  kill(): void {
    this.alive = false;
    this.#flushes = [];
  }

  /** The next commit that is due, if any. */
  takeFlush(): (() => void) | undefined {
    return this.#flushes.shift();
  }

  /** Resolves as soon as the gateway acknowledges; rejects where it refuses; neither once it is dead. */
  deliver(endpoint: string, event: CloudEvent): Promise<AcceptResult> {
    const receiver = this.#receivers.get(endpoint);
    if (receiver === undefined) return Promise.reject(new Error(`no endpoint ${endpoint}`));
    return new Promise((resolve, reject) => {
      const answer = (fn: () => void) => {
        if (this.alive) fn();
      };
      receiver.deliver(event).then(
        (result) => answer(() => resolve(result)),
        (error: unknown) => answer(() => reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  }

  *#sources() {
    for (const { name, cron, zone } of SCHEDULES) {
      const source = createSource(name, { kind: 'cron', cron, zone });
      yield { name, kind: 'cron', origin: `trigger/${name}`, trigger: name, source };
    }
    for (const { name, origin, trigger } of ENDPOINTS) {
      const source = new Receiver();
      this.#receivers.set(name, source);
      yield { name, kind: 'receiver', origin, trigger, source };
    }
  }
}
