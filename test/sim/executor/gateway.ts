import type { Clock } from '../../../src/core/clock.ts';
import type { Ids } from '../../../src/core/ids.ts';
import type { Log } from '../../../src/core/log.ts';
import type { LogSink, OpenLog } from '../../../src/core/log-sink.ts';
import type { Objects } from '../../../src/core/objects.ts';
import type { OutputFile, Runner } from '../../../src/core/runner.ts';
import type { Secrets } from '../../../src/core/secrets.ts';
import type {
  AcceptResult,
  EngineStore,
  ExecutorStore,
  FinishParams,
  InboxStore,
  RoutingStore,
} from '../../../src/core/store.ts';
import { DeadlineWatch } from '../../../src/executor/deadline-watch.ts';
import { Executor } from '../../../src/executor/executor.ts';
import { createExpressions } from '../../../src/expr/expressions.ts';
import { Inbox } from '../../../src/inbox/inbox.ts';
import { OrphanContainers } from '../../../src/maintenance/orphan-containers.ts';
import { Router } from '../../../src/routing/router.ts';
import { SqliteStore } from '../../../src/stores/sqlite/store.ts';
import { FakeBodies, FakeLocalFiles } from '../../support/staging-fakes.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { VirtualDisk } from '../virtual-disk.ts';
import type { VirtualTime } from '../virtual-time.ts';
import { mortalObjects } from './mortal-objects.ts';
import { JOBS, MEMORY_RESERVE, TRIGGERS, messageEvent, originOf } from './scenario.ts';
import type { SimEngine } from './sim-engine.ts';

export type ExecStore = InboxStore & RoutingStore & ExecutorStore & EngineStore;
/** What an ablation changes. */
export interface Wraps {
  readonly store?: (store: ExecStore) => ExecStore;
  readonly runner?: (runner: Runner, life: number) => Runner;
  readonly objects?: (objects: Objects) => Objects;
  readonly logs?: (logs: LogSink) => LogSink;
  /** What SIGTERM does. */
  readonly stop?: (gateway: ExecGateway) => Promise<void>;
}

export interface GatewayParams {
  readonly time: VirtualTime;
  readonly disk: VirtualDisk;
  readonly ids: Ids;
  readonly random: SeededRandom;
  readonly engine: SimEngine;
  readonly objects: Objects;
  readonly secrets: Secrets;
  readonly logs: LogSink;
  readonly wraps: Wraps;
  /** Which of the processes of a run it is. */
  readonly life: number;
  /** Who asked for the engine under a name: the lock of a real one tells that it is dead. */
  readonly owners: Map<string, ExecGateway>;
  /** The process reaches an order to the engine; it may end there. */
  reached(gateway: ExecGateway, where: 'before an order' | 'after an order'): void;
  /** A line of its own log. */
  said(line: string): void;
  /** It is about to store the end of an attempt. */
  finishing(params: FinishParams): void;
  /** It has stored it. */
  finished(gateway: ExecGateway, params: FinishParams): void;
}

const NEVER = new Promise<never>(() => undefined);
const expressions = createExpressions();
const none = { localFiles: new FakeLocalFiles(), bodies: new FakeBodies() };

/**
 * One life of the gateway's process: production inbox, routing, executor and store over virtual time, disk and engine.
 * Once it has died nothing that it asked for happens and nobody hears its answers. While it is frozen (SIGSTOP) its
 * timers, commits and orders wait, and the others go on without it.
 */
export class ExecGateway {
  alive = true;
  frozen = false;
  readonly store: SqliteStore;
  readonly executor: Executor;
  readonly log: Log;
  /** What `start` failed with. */
  failed: unknown;
  readonly #params: GatewayParams;
  readonly #inbox: Inbox;
  readonly #router: Router;
  readonly #deadlines: DeadlineWatch;
  readonly #orphans: OrphanContainers;
  readonly #wrapped: ExecStore;
  #flushes: (() => void)[] = [];
  #thawing: (() => void)[] = [];

  constructor(params: GatewayParams) {
    this.#params = params;
    const { disk, ids, random, wraps } = params;
    const clock = this.#clock();
    const say = (message: string, fields: object = {}): void => params.said(`${message} ${toText(fields)}`);
    this.log = { info: say, warn: say, error: say };
    const { log } = this;
    const schedule = (flush: () => void): void => void this.#flushes.push(flush);
    this.store = new SqliteStore({ path: ':memory:', clock, ids, schedule, connect: disk.connect });
    const watched = this.#watched();
    const store = wraps.store?.(watched) ?? watched;
    this.#wrapped = store;
    const engine = params.engine.runner(() => this.alive);
    const runner = this.#mortal(wraps.runner?.(engine, params.life) ?? engine);
    const objects = wraps.objects?.(params.objects) ?? params.objects;
    this.executor = new Executor({
      ...none,
      objects: mortalObjects(objects, () => this.#awake()),
      secrets: params.secrets,
      store,
      runner,
      logs: this.#logs(),
      clock,
      random,
      ids,
      settings: () => ({
        maxRunningTasks: 8,
        maxParallelism: 10,
        admission: { cpuOvercommit: 8, memoryReserveBytes: MEMORY_RESERVE },
      }),
      expressions,
      log,
    });
    const limits = { maxTasks: 100, maxParallelism: 10 };
    this.#router = new Router({
      store,
      clock,
      ids,
      triggers: () => TRIGGERS,
      jobs: () => JOBS,
      limits: () => limits,
      onExecutions: () => this.executor.wake(),
      log,
    });
    this.#inbox = new Inbox({ store, ids, clock, route: (events) => this.#router.decideNow(events), log });
    this.#deadlines = new DeadlineWatch({ store, clock, log, onHalted: () => this.executor.wakeStops() });
    const own = (): Runner | undefined => (this.executor.holdsEngine() ? runner : undefined);
    this.#orphans = new OrphanContainers({ store: this.store, clock, log, runner: own });
  }

  /** Never rejects: what went wrong is in `failed`. */
  async start(): Promise<void> {
    try {
      await this.store.open();
      const jobs = [...JOBS.values()].map(({ name, etag, spec: { maxConcurrentExecutions: most } }) => {
        const key = { kind: 'job', name, etag } as const;
        return most === undefined ? key : { ...key, maxConcurrentExecutions: most };
      });
      await this.store.syncDefinitions(jobs);
      await Promise.all([this.#router.start(), this.executor.start(), this.#deadlines.start()]);
    } catch (error) {
      this.failed = error;
    }
  }

  /** SIGTERM: what was begun is answered, containers run on. */
  async stop(): Promise<void> {
    await Promise.all([this.#router.stop(), this.executor.stop(), this.#deadlines.stop()]);
    await this.store.close();
  }

  kill(): void {
    this.alive = false;
    this.#flushes = [];
    this.#thawing = [];
  }
  freeze(): void {
    this.frozen = true;
  }
  thaw(): void {
    this.frozen = false;
    for (const go of this.#thawing.splice(0)) go();
  }

  /** The next commit that is due, if any. */
  takeFlush(): (() => void) | undefined {
    return this.frozen ? undefined : this.#flushes.shift();
  }

  /** Resolves as soon as the gateway acknowledges; rejects where it refuses; neither once it is dead. */
  async deliver(jobName: string, n: number): Promise<AcceptResult> {
    try {
      const result = await this.#inbox.accept(originOf(jobName), jobName, {
        events: [{ event: messageEvent(n) }],
      });
      return this.alive ? result : await NEVER;
    } catch (error) {
      if (!this.alive) return NEVER;
      throw error;
    }
  }

  async cancel(name: string): Promise<boolean> {
    const result = await this.#wrapped.cancelExecution(name, 'someone');
    this.executor.wakeStops();
    return this.alive ? result?.changed === true : NEVER;
  }

  async rerun(of: string): Promise<void> {
    const { ids } = this.#params;
    const name = `${of.replace(/-.*/, '')}-${ids.suffix(10)}`;
    await this.#wrapped.rerunExecution({ of, uid: ids.uid(), name, by: 'someone' });
    this.executor.wake();
  }

  /** What maintenance does with containers, once; it comes again, so that a failure is nobody's. */
  maintain(): Promise<unknown> {
    return this.#orphans.runOnce().catch(() => undefined);
  }

  #clock(): Clock {
    const { time } = this.#params;
    return {
      now: () => time.now(),
      elapsed: () => time.elapsed(),
      setTimer: (ms, fn) => {
        let cancelled = false;
        const cancel = time.setTimer(ms, () => this.#whenAwake(() => (cancelled ? undefined : fn())));
        return () => {
          cancelled = true;
          cancel();
        };
      },
    };
  }

  #whenAwake(fn: () => void): void {
    if (!this.alive) return;
    if (this.frozen) this.#thawing.push(fn);
    else fn();
  }

  async #awake(): Promise<void> {
    if (this.frozen) await new Promise<void>((resolve) => this.#thawing.push(resolve));
    if (!this.alive) await NEVER;
  }

  #mortal(runner: Runner): Runner {
    return new Proxy(runner, {
      get: (inner, key): unknown => {
        const value: unknown = Reflect.get(inner, key);
        if (typeof value !== 'function' || key === 'pulls') return value;
        if (key === 'hints') return (signal: AbortSignal) => this.#each(inner.hints(signal));
        if (key === 'outputs') return (...args: Parameters<Runner['outputs']>) => this.#outputs(inner, args);
        return (...args: unknown[]) => this.#order(() => value.apply(inner, args) as Promise<unknown>);
      },
    });
  }

  async #order(work: () => Promise<unknown>): Promise<unknown> {
    await this.#awake();
    this.#params.reached(this, 'before an order');
    await this.#awake();
    try {
      return await work();
    } finally {
      this.#params.reached(this, 'after an order');
      await this.#awake();
    }
  }

  async *#outputs(runner: Runner, args: Parameters<Runner['outputs']>): AsyncGenerator<OutputFile> {
    await this.#order(() => Promise.resolve());
    for await (const file of this.#each(runner.outputs(...args)))
      yield { ...file, body: this.#each(file.body) };
  }

  /** As it comes, as long as the process lives. */
  async *#each<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const item of items) {
      await this.#awake();
      yield item;
    }
  }

  #watched(): ExecStore {
    const watch = this.#params;
    return new Proxy(this.store, {
      get: (inner, key): unknown => {
        if (key === 'acquireEngine') return this.#acquire;
        if (key !== 'finishAttempt') {
          const value: unknown = Reflect.get(inner, key);
          return typeof value === 'function' ? (value.bind(inner) as unknown) : value;
        }
        return async (params: FinishParams) => {
          watch.finishing(params);
          const result = await inner.finishAttempt(params);
          watch.finished(this, params);
          return result;
        };
      },
    });
  }

  readonly #acquire: EngineStore['acquireEngine'] = async (engine, owner, leaseMs, silent) => {
    const { owners } = this.#params;
    owners.set(owner, this);
    const lease = await this.store.acquireEngine(engine, owner, leaseMs, silent);
    const isDead = !lease.held && owners.get(lease.owner)?.alive === false;
    return isDead ? this.store.acquireEngine(engine, owner, leaseMs, lease) : lease;
  };

  #logs(): LogSink {
    const { wraps } = this.#params;
    const logs = wraps.logs?.(this.#params.logs) ?? this.#params.logs;
    const open: LogSink['open'] = async (key, options) => {
      await this.#awake();
      return this.#writer(await logs.open(key, options));
    };
    return { open, read: logs.read.bind(logs), end: logs.end.bind(logs), remove: logs.remove.bind(logs) };
  }

  #writer(writer: OpenLog): OpenLog {
    return {
      cursor: () => writer.cursor(),
      write: async (stream, data) => {
        // The engine's stream ends with the process that reads it.
        if (!this.alive) throw new Error('nobody reads any more');
        await this.#awake();
        await writer.write(stream, data);
      },
      close: async () => {
        await this.#awake();
        return writer.close();
      },
      leave: async () => {
        await this.#awake();
        return writer.leave();
      },
    };
  }
}

/** As a log writes it: errors with their words. */
function toText(fields: object): string {
  return JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? String(value) : value));
}
