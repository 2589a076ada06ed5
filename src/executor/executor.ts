import { capacityOf, Ledger } from '../core/admission.ts';
import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/errors.ts';
import type { Expressions } from '../core/expression.ts';
import type { Ids } from '../core/ids.ts';
import type { Log } from '../core/log.ts';
import type { LogSink } from '../core/log-sink.ts';
import type { BodyReader } from '../core/bodies.ts';
import type { LocalFiles } from '../core/local-files.ts';
import type { Objects } from '../core/objects.ts';
import type { Random } from '../core/random.ts';
import type { PullProgress, Runner } from '../core/runner.ts';
import type { Secrets } from '../core/secrets.ts';
import type { EngineStore, ExecutorStore } from '../core/store.ts';
import { Semaphore } from '../lib/semaphore.ts';
import { onAbort, pause, Service } from '../lib/service.ts';
import { adopt } from './adopt.ts';
import { ClaimLoop } from './claim-loop.ts';
import type { ClaimSettings } from './claim-loop.ts';
import { EngineGate } from './engine-gate.ts';
import { ExecutionImages } from './execution-images.ts';
import { followHints, sweep } from './engine-watch.ts';
import { Lease } from './lease.ts';
import type { Acquired } from './lease.ts';
import type { LifeContext } from './life-context.ts';
import { LiveAttempts } from './live-attempts.ts';
import { Outages } from './outages.ts';
import { RunTimes } from './run-times.ts';
import { Session, SessionOver } from './session.ts';
import { UsageMeter } from './usage-meter.ts';
import type { AdmissionView } from './waiting.ts';

/** What a life does not finish within this time at the end of a session is left to the next one. */
const LEAVE_MS = 3_500;

const AGAIN_MS = 1_000;
/** How soon a drain sees that nothing runs any more. */
const DRAIN_LOOK_MS = 200;
/** Before the engine has told. */
const UNKNOWN_HOST = { cpus: 0, memoryBytes: 0 };

/** Containers that start at the same time on a host of however many cores: an engine makes their networks one by one. */
const MAX_STARTS = 32;
/** Inputs and outputs on their way at the same time: an upload in parts keeps some 20 MiB of it in memory. */
const MAX_TRANSFERS = 8;

export type ExecutorSettings = ClaimSettings;
export interface ExecutorOptions {
  readonly store: ExecutorStore & EngineStore;
  readonly runner: Runner;
  readonly logs: LogSink;
  readonly objects: Objects;
  readonly secrets: Secrets;
  readonly localFiles: LocalFiles;
  readonly bodies: BodyReader;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  /** As they are now: a reload of the configuration changes them. */
  settings(): ExecutorSettings;
  readonly expressions: Expressions;
  readonly log: Log;
}

export interface ExecutorStatus {
  /** `waiting`: another gateway has the engine. `connecting`: it does not answer (yet). `draining`: nothing more starts. */
  readonly state: 'off' | 'waiting' | 'connecting' | 'ready' | 'draining';
  /** One plain line. */
  readonly message: string;
  /** The engine's own description, once it has answered. */
  readonly engine: string | null;
  readonly warnings: readonly string[];
  /** Images on their way to the engine. */
  readonly pulls: readonly PullProgress[];
  readonly runningTasks: number;
  /** null = as many as there is room for. */
  readonly maxRunningTasks: number | null;
  /** What may be given out on the engine's host, and what of it is free; null before it has told, or where it does not tell. */
  readonly memory: { readonly total: number; readonly free: number } | null;
  /** In cores, as many times as `cpuOvercommit` says. */
  readonly cpu: { readonly total: number; readonly free: number } | null;
  /** The execution that the next room is kept for. */
  readonly reservedFor: string | null;
}

/** What belongs to one session. */
interface Serving {
  readonly session: Session;
  readonly gate: EngineGate;
  readonly context: LifeContext;
  readonly live: LiveAttempts;
  readonly claims: ClaimLoop;
}

/**
 * Runs what waits in the store on one engine. off → waiting for the lease → connecting (adopts) → ready, and back
 * to waiting when the lease is lost. A stop leaves the containers running; the next process adopts them.
 */
export class Executor extends Service {
  readonly #options: ExecutorOptions;
  readonly #lease: Lease;
  /** These two outlive a session: one that ends because the time of day was set is followed by another. */
  readonly #times: RunTimes;
  readonly #outages = new Outages();
  #serving: Serving | undefined;
  #adopted = false;
  #started = false;
  #draining = false;

  constructor(options: ExecutorOptions) {
    super();
    this.#options = options;
    const { store, runner, ids, clock, log } = options;
    this.#times = new RunTimes(clock);
    this.#lease = new Lease({ store, engine: runner.engine, owner: ids.uid(), clock, log });
  }

  /** A hint: there may be something to start. Never throws. */
  wake(): void {
    if (this.#adopted) this.#serving?.claims.wake();
  }

  /** A hint: there may be something to stop, or a turn that what was stopped before its start has passed on. Never throws. */
  wakeStops(): void {
    if (!this.#adopted) return;
    this.#serving?.claims.wakeStops();
    this.#serving?.claims.wake();
  }

  /**
   * Claims nothing more; resolves when nothing runs any more, or another gateway has the engine. What was claimed
   * before still starts, and what ends is stored; its retries, and all else, wait for the next process. An engine that
   * is away with attempts open on it is waited for. `stop` ends it. Never rejects.
   */
  async drain(): Promise<void> {
    const { clock } = this.#options;
    this.#draining = true;
    while (this.#started && (await this.#busy())) {
      await new Promise<void>((resolve) => clock.setTimer(DRAIN_LOOK_MS, resolve));
    }
  }

  async #busy(): Promise<boolean> {
    const { store, runner } = this.#options;
    if (this.#adopted && this.#serving !== undefined) {
      const { live, claims } = this.#serving;
      return !live.quiet || claims.claiming;
    }
    if (this.#lease.elsewhere) return false;
    try {
      return (await store.openAttempts(runner.engine)).length > 0;
    } catch {
      // Not known now: who waits for the last task to end must not be told that it has.
      return true;
    }
  }

  status(): ExecutorStatus {
    const capabilities = this.#serving?.gate.capabilities ?? null;
    const { host, settings, free, reserved, maxRunningTasks } = this.admission();
    const all = capacityOf(host ?? UNKNOWN_HOST, settings);
    const share = (total: number, left: number) => (total === Infinity ? null : { total, free: left });
    return {
      ...this.#stateNow(),
      engine: capabilities?.description ?? null,
      warnings: capabilities?.warnings ?? [],
      pulls: this.#options.runner.pulls(),
      runningTasks: this.#serving?.live.size ?? 0,
      maxRunningTasks: maxRunningTasks === Infinity ? null : maxRunningTasks,
      memory: share(all.memoryBytes, free.memoryBytes),
      cpu: share(all.cpuMillis / 1000, free.cpuMillis / 1000),
      reservedFor: reserved?.execution ?? null,
    };
  }

  /** What there is to give out, for who has to say what a task waits for. */
  admission(): AdmissionView {
    const { admission: settings, maxRunningTasks } = this.#options.settings();
    const host = this.#serving?.gate.capabilities ?? null;
    const live = this.#serving?.live;
    const charges = live?.charges() ?? [];
    const { free } = new Ledger(
      capacityOf(host ?? UNKNOWN_HOST, settings),
      charges,
      this.#options.clock.now(),
    );
    const { state, message } = this.#stateNow();
    return {
      ready: state === 'ready' || state === 'draining',
      draining: this.#draining,
      message,
      host,
      settings,
      free,
      reserved: this.#serving?.claims.reserved ?? null,
      runningTasks: live?.size ?? 0,
      maxRunningTasks,
      begun: (execution) => live?.waits(execution) ?? new Map<number, never>(),
    };
  }

  /** Whether this process may touch the engine's containers now. */
  holdsEngine(): boolean {
    return this.#adopted && this.#serving?.session.isOver() === false;
  }

  #stateNow(): Pick<ExecutorStatus, 'state' | 'message'> {
    if (!this.#started) return { state: 'off', message: 'Not started.' };
    if (this.#serving === undefined) {
      return { state: 'waiting', message: this.#lease.problem ?? 'Reserving the container engine.' };
    }
    const { gate } = this.#serving;
    if (gate.problem !== null) {
      const message = `The container engine does not answer; tasks wait until it does: ${gate.problem}`;
      return { state: 'connecting', message };
    }
    if (!this.#adopted) return { state: 'connecting', message: 'Connecting to the container engine.' };
    if (this.#draining)
      return {
        state: 'draining',
        message: 'Nothing more starts; the gateway ends when what runs has ended.',
      };
    return {
      state: 'ready',
      message: `Tasks run on ${gate.capabilities?.description ?? 'the container engine'}.`,
    };
  }

  protected async run(signal: AbortSignal): Promise<void> {
    const { runner, log } = this.#options;
    this.#started = true;
    while (!signal.aborted) {
      const acquired = await this.#lease.acquire(signal);
      if (acquired === undefined) break;
      const serving = this.#open(runner, acquired);
      const undo = onAbort(signal, () => serving.session.end());
      try {
        await this.#serve(serving, this.#lease);
      } catch (error) {
        log.error(`The executor met an unexpected error and begins anew: ${errorText(error)}`, { error });
      }
      undo();
      await this.#leave(serving);
      await this.#lease.release(acquired.epoch);
      await pause(this.#options.clock, AGAIN_MS, signal);
    }
    this.#started = false;
  }

  #open(runner: Runner, acquired: Acquired): Serving {
    const { store, logs, objects, secrets, localFiles, bodies } = this.#options;
    const { clock, random, expressions, log } = this.#options;
    const session = new Session({ ...acquired, clock, log });
    const outages = this.#outages;
    const gate = new EngineGate({ runner, session, clock, log, outages, onUp: () => this.#engineUp() });
    // Widened when the engine has told its cores; nothing starts before.
    const starts = new Semaphore(2);
    const transfers = new Semaphore(MAX_TRANSFERS);
    const files = { objects, secrets, localFiles, bodies };
    const ports = { store, runner, logs, ...files, clock, random, expressions, log };
    const meter = new UsageMeter({ runner, gate, store, session, clock });
    const images = new ExecutionImages({ runner, gate, session, store });
    const context: LifeContext = {
      ...ports,
      session,
      gate,
      images,
      starts,
      transfers,
      meter,
      times: this.#times,
    };
    const live = new LiveAttempts(context, (nothingFollows) => {
      if (this.#adopted) this.#serving?.claims.freed(nothingFollows);
    });
    const engine = runner.engine;
    const claims = new ClaimLoop({
      store,
      engine,
      session,
      live,
      settings: () => this.#options.settings(),
      host: () => gate.capabilities,
      clock,
      log,
      mayClaim: () => gate.up && !this.#draining,
    });
    this.#serving = { session, gate, context, live, claims };
    return this.#serving;
  }

  async #serve(serving: Serving, lease: Lease): Promise<void> {
    const { session, gate, context, live, claims } = serving;
    const keeping = lease.keep(session);
    try {
      const { cpus } = await session.orOver(gate.connect());
      // Measured: four per core give 5.9 containers a second where two gave 5.4; past that each start only takes longer.
      context.starts.widen(Math.min(MAX_STARTS, Math.max(2, Math.floor(4 * cpus))));
      const { adopted, removing } = await session.orOver(adopt(context, live));
      if (adopted > 0) this.#options.log.info(`Took over ${adopted} running tasks.`);
      this.#adopted = true;
      await Promise.all([
        claims.run(),
        session.orOver(
          Promise.all([followHints(context, live), sweep(context, live), context.meter.run(), removing]),
        ),
      ]);
    } catch (error) {
      if (!(error instanceof SessionOver)) throw error;
    } finally {
      session.end();
      await keeping;
    }
  }

  /** Gives the lives a moment to get out of their steps and to close their logs. */
  async #leave({ live }: Serving): Promise<void> {
    this.#adopted = false;
    const late = new AbortController();
    await Promise.race([live.settled(), pause(this.#options.clock, LEAVE_MS, late.signal)]);
    late.abort();
    this.#serving = undefined;
  }

  #engineUp(): void {
    this.#serving?.live.ringAll();
    this.wakeStops();
  }
}
