import type { Clock } from './core/clock.ts';
import { errorText } from './core/errors.ts';
import type { JsonObject } from './core/json.ts';
import type { Log } from './core/log.ts';
import type { Runner } from './core/runner.ts';
import type { Executor } from './executor/executor.ts';
import { findEngine, type FoundEngine } from './runners/docker/find-engine.ts';

/** An engine that is started after the gateway is taken into use within this time. */
const LOOK_MS = 5_000;

type Found = Extract<FoundEngine, { found: true }>;

export interface EngineLinkDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Log;
  makeRunner(engine: Found): Runner;
  makeExecutor(runner: Runner): Executor;
}

/**
 * Looks for a container engine until there is one, then gives it an executor. A gateway without an engine does
 * everything but containers: what is to run waits.
 */
export class EngineLink {
  readonly #deps: EngineLinkDeps;
  #executor: Executor | undefined;
  #runner: Runner | undefined;
  #problem = 'not looked for yet';
  #told = false;
  #cancelLook: (() => void) | undefined;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(deps: EngineLinkDeps) {
    this.#deps = deps;
  }

  /** Resolves after the first look; one line in the log says what was found or what to do. */
  async start(): Promise<void> {
    this.#looking = this.#look();
    await this.#looking;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelLook?.();
    await this.#looking;
    await this.#executor?.stop();
  }

  wake(): void {
    this.#executor?.wake();
  }

  /** The engine's runner, while this process is in charge of the engine. */
  get runner(): Runner | undefined {
    return this.#executor?.holdsEngine() === true ? this.#runner : undefined;
  }

  status(): JsonObject {
    if (this.#executor === undefined) return { state: 'none', message: this.#problem };
    return { ...this.#executor.status(), warnings: [...this.#executor.status().warnings] };
  }

  async #look(): Promise<void> {
    try {
      const found = await findEngine({ env: this.#deps.env });
      if (this.#stopped) return;
      if (found.found) return await this.#take(found);
      this.#problem = noEngineText(found.tried);
    } catch (error) {
      this.#problem = `The container engine could not be taken into use: ${errorText(error)}`;
    }
    if (!this.#told) this.#deps.log.warn(this.#problem);
    this.#told = true;
    this.#cancelLook = this.#deps.clock.setTimer(LOOK_MS, () => void (this.#looking = this.#look()));
  }

  async #take(found: Found): Promise<void> {
    this.#runner = this.#deps.makeRunner(found);
    this.#executor = this.#deps.makeExecutor(this.#runner);
    await this.#executor.start();
  }
}

/** One line: that there is none, what was tried, and what to do. */
export function noEngineText(tried: FoundEngine['tried']): string {
  const places = tried.map(({ place, why }) => `${place}: ${why}`).join('; ');
  return `No container engine answers (${places}). Jobs wait until one does: start Docker or Podman, or set DOCKER_HOST.`;
}
