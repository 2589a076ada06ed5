import { ADMISSION_DEFAULTS } from './core/admission.ts';
import type { Clock } from './core/clock.ts';
import { resolveLinks } from './config/binds.ts';
import { errorText } from './core/errors.ts';
import type { JsonObject } from './core/json.ts';
import type { Log } from './core/log.ts';
import type { Runner } from './core/runner.ts';
import type { EngineInUse, EngineStore } from './core/store.ts';
import type { Executor } from './executor/executor.ts';
import type { AdmissionView } from './executor/waiting.ts';
import { forgetEngine } from './forget-engine.ts';
import { pause } from './lib/service.ts';
import { describeEndpoint, findEngine } from './runners/docker/find-engine.ts';
import type { EngineEndpoint, FoundEngine } from './runners/docker/find-engine.ts';

/** An engine that is started after the gateway is taken into use within this time. */
const LOOK_MS = 5_000;

/** How long a stop waits for a command that is giving up an engine: cut off, it has done nothing and may come again. */
const FORGET_MS = 2_000;

type Found = Extract<FoundEngine, { found: true }>;

export interface EngineLinkDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Log;
  /** Engines in it have the names that `engineName` gives. */
  readonly store: Pick<EngineStore, 'enginesInUse' | 'forgetEngine'>;
  makeRunner(engine: Found): Promise<Runner>;
  makeExecutor(runner: Runner): Executor;
}

/**
 * Looks for a container engine until there is one, then gives it an executor. A gateway without an engine does
 * everything but containers: what is to run waits. While attempts are open on an engine no other is taken: it would
 * not know their containers, they would count as lost, and run a second time while the first still runs.
 *
 * One look at a time, and none while an engine is given up: two that found one each would make two executors, of which
 * one is not known to anybody.
 *
 * | now         | when                                   | then                                         |
 * |-------------|----------------------------------------|----------------------------------------------|
 * | looking     | nothing may be taken                   | resting, until the timer                     |
 * | looking     | an engine answers that may be taken    | in use, without a timer                      |
 * | looking     | stopped                                | ended: what answers is left alone            |
 * | resting     | timer                                  | looking                                      |
 * | any         | an engine is to be given up            | giving up: after the look, without a timer   |
 * | giving up   | done or refused, no engine is in use   | looking                                      |
 * | giving up   | done or refused, one is still in use   | in use                                       |
 */
export class EngineLink {
  readonly #deps: EngineLinkDeps;
  #executor: Executor | undefined;
  #runner: Runner | undefined;
  #problem = 'not looked for yet';
  #told = false;
  #cancelLook: (() => void) | undefined;
  #looking: Promise<void> = Promise.resolve();
  #forgetting: Promise<unknown> = Promise.resolve();
  /** No engine is looked for any more. */
  #stopped = false;

  constructor(deps: EngineLinkDeps) {
    this.#deps = deps;
  }

  /** Resolves after the first look; one line in the log says what was found or what to do. */
  async start(): Promise<void> {
    await this.#lookNow();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#endLooks();
    await this.#executor?.stop();
    const late = new AbortController();
    await Promise.race([this.#forgetting, pause(this.#deps.clock, FORGET_MS, late.signal)]);
    late.abort();
  }

  /** Starts nothing more; resolves when nothing runs here any more. Where no engine was found there is nothing to wait for. */
  async drain(): Promise<void> {
    this.#stopped = true;
    await this.#endLooks();
    await this.#executor?.drain();
    // It may have ended because its engine is being given up, which is not stored before this.
    await this.#forgetting;
  }

  wake(): void {
    this.#executor?.wake();
  }

  wakeStops(): void {
    this.#executor?.wakeStops();
  }

  /** The engine's runner, while this process is in charge of the engine. */
  get runner(): Runner | undefined {
    return this.#executor?.holdsEngine() === true ? this.#runner : undefined;
  }

  /** What there is to give out; nothing starts without an engine. */
  admission(): AdmissionView {
    if (this.#executor !== undefined) return this.#executor.admission();
    const all = { memoryBytes: Infinity, cpuMillis: Infinity };
    const nothing = {
      host: null,
      settings: ADMISSION_DEFAULTS,
      free: all,
      reserved: null,
      begun: () => new Map<number, never>(),
    };
    return { ready: false, message: this.#problem, ...nothing, runningTasks: 0, maxRunningTasks: Infinity };
  }

  status(): JsonObject {
    if (this.#executor === undefined) return { state: 'none', message: this.#problem };
    const { warnings, pulls, ...status } = this.#executor.status();
    return { ...status, warnings: [...warnings], pulls: pulls.map((pull) => ({ ...pull })) };
  }

  /**
   * Ends what is open on an engine that is gone for good, and looks for another; gives how many attempts that were. One
   * at a time. Errors: those of `forgetEngine`.
   */
  forget(engine: string, by: string): Promise<number> {
    const done = this.#forgetting.then(() => this.#forget(engine, by));
    this.#forgetting = done.catch(() => undefined);
    return done;
  }

  async #forget(engine: string, by: string): Promise<number> {
    const { env, store, log } = this.#deps;
    await this.#endLooks();
    try {
      const ended = await forgetEngine(engine, by, { env, store, leave: () => this.#leave(engine) });
      const attempts = ended === 1 ? '1 attempt' : `${ended} attempts`;
      log.warn(`The container engine ${engine} was given up for good by ${by}: ${attempts} ended.`);
      // What is said of the engines from here on is news.
      this.#told = false;
      return ended;
    } finally {
      void this.#lookNow();
    }
  }

  async #leave(engine: string): Promise<void> {
    if (this.#runner?.engine !== engine) return;
    try {
      await this.#executor?.stop();
    } finally {
      this.#problem = `The container engine ${engine} is given up.`;
      this.#told = false;
      this.#executor = undefined;
      this.#runner = undefined;
    }
  }

  /** Looks when the look before it, if any, is over; resolves after it. Never rejects. */
  #lookNow(): Promise<void> {
    this.#cancelLook?.();
    this.#looking = this.#looking.then(() => this.#look());
    return this.#looking;
  }

  /** Resolves when no look is under way, nor any other begins by itself. */
  async #endLooks(): Promise<void> {
    this.#cancelLook?.();
    await this.#looking;
    // The look has set it again where it found nothing.
    this.#cancelLook?.();
  }

  /** To be asked again after each wait. */
  #mayTake(): boolean {
    return !this.#stopped && this.#executor === undefined;
  }

  async #look(): Promise<void> {
    if (!this.#mayTake()) return;
    try {
      const inUse = await this.#deps.store.enginesInUse();
      if (!this.#mayTake()) return;
      const found = await findEngine({ env: this.#deps.env, refuse: refuseOthers(inUse) });
      if (!this.#mayTake()) return;
      if (found.found) return await this.#take(found, inUse);
      this.#problem = inUse.length === 0 ? noEngineText(found.tried) : waitingText(inUse, found.tried);
    } catch (error) {
      this.#problem = `The container engine could not be taken into use: ${errorText(error)}`;
    }
    if (!this.#told) this.#deps.log.warn(this.#problem);
    this.#told = true;
    this.#cancelLook?.();
    this.#cancelLook = this.#deps.clock.setTimer(LOOK_MS, () => void this.#lookNow());
  }

  async #take(found: Found, inUse: readonly EngineInUse[]): Promise<void> {
    const others = inUse.filter(({ engine }) => engine !== engineName(found.endpoint));
    if (others.length > 0)
      this.#deps.log.warn(
        `${attemptsText(others)}, and this gateway does not reach it. ${forgetText(others)}`,
      );
    const runner = await this.#deps.makeRunner(found);
    if (!this.#mayTake()) return;
    const executor = this.#deps.makeExecutor(runner);
    this.#runner = runner;
    this.#executor = executor;
    await executor.start();
  }
}

/** An engine's name in the store: where it is, as the same by whatever link it is reached. */
export function engineName(endpoint: EngineEndpoint): string {
  return describeEndpoint(
    endpoint.kind === 'unix' ? { ...endpoint, path: resolveLinks(endpoint.path) } : endpoint,
  );
}

function refuseOthers(inUse: readonly EngineInUse[]) {
  if (inUse.length === 0) return () => null;
  const names = new Set(inUse.map(({ engine }) => engine));
  return (endpoint: EngineEndpoint) =>
    names.has(engineName(endpoint)) ? null : 'not asked while attempts run on another engine';
}

/** `2 attempts run on /run/docker.sock`. */
function attemptsText(inUse: readonly EngineInUse[]): string {
  return inUse
    .map(({ engine, openAttempts: n }) =>
      n === 1 ? `1 attempt runs on ${engine}` : `${n} attempts run on ${engine}`,
    )
    .join(', ');
}

function waitingText(inUse: readonly EngineInUse[], tried: FoundEngine['tried']): string {
  const fix = 'Start that engine, or set DOCKER_HOST to it: on another they would run a second time.';
  return `${attemptsText(inUse)}; waiting for it (${placesText(tried)}). ${fix} ${forgetText(inUse)}`;
}

const forgetText = (inUse: readonly EngineInUse[]): string =>
  `If it is gone for good: ${inUse.map(({ engine }) => `tappet engines forget ${engine}`).join(', ')}`;

const placesText = (tried: FoundEngine['tried']): string =>
  tried.map(({ place, why }) => `${place}: ${why}`).join('; ');

/** One line: that there is none, what was tried, and what to do. */
export function noEngineText(tried: FoundEngine['tried']): string {
  return `No container engine answers (${placesText(tried)}). Jobs wait until one does: start Docker or Podman, or set DOCKER_HOST.`;
}
