import type { Clock } from '../../core/clock.ts';
import { TappetError } from '../../core/errors.ts';
import type { PullLimits, Registries, RegistryAccount } from '../../core/registry.ts';
import type { PullProgress } from '../../core/runner.ts';
import { formatDuration } from '../../lib/duration.ts';
import { DOCKER_HUB, registryOf } from '../../lib/image-pattern.ts';
import type { ImageRef } from '../../lib/image-ref.ts';
import type { EngineClient, RegistryAuth } from './engine-client.ts';
import { pullFailure, pullGivenUp } from './pull-failure.ts';
import type { PullAttempt } from './pull-failure.ts';
import { PullTally } from './pull-progress.ts';

/** A progress object is some 200 bytes; what has no line end for this long is not the engine. */
const MAX_LINE = 1024 * 1024;

export interface PullsDeps {
  readonly client: EngineClient;
  readonly clock: Clock;
  readonly registries: Registries;
  /** As they are now. */
  limits(): PullLimits;
}

interface UnderWay {
  readonly done: Promise<number>;
  readonly tally: PullTally;
}

/** Pulls, each image once at a time: whoever asks meanwhile waits for the same. */
export class Pulls {
  readonly #deps: PullsDeps;
  readonly #underWay = new Map<string, UnderWay>();

  constructor(deps: PullsDeps) {
    this.#deps = deps;
  }

  /**
   * Resolves when the engine says that it is done, to the bytes that came; whether the image is there, only an inspect
   * tells. Errors: IMAGE_*, SECRET_UNREADABLE, ENGINE_UNAVAILABLE.
   */
  pull(image: string, ref: ImageRef): Promise<number> {
    const key = `${ref.repository} ${ref.tag}`;
    const known = this.#underWay.get(key);
    if (known !== undefined) return known.done;
    const tally = new PullTally(image, this.#deps.clock.now());
    const done = this.#pull(image, ref, tally).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, { done, tally });
    return done;
  }

  progress(): PullProgress[] {
    return [...this.#underWay.values()].map(({ tally }) => tally.snapshot());
  }

  async #pull(image: string, ref: ImageRef, tally: PullTally): Promise<number> {
    const { registries, clock } = this.#deps;
    const host = registryOf(ref.repository);
    const account = await registries.account(host);
    const attempt = { image, host, withAccount: account !== undefined };
    const watch = new Watchdog(clock, this.#deps.limits());
    try {
      await this.#read(attempt, ref, tally, watch, authOf(host, account));
    } catch (error) {
      if (watch.why !== null) throw pullGivenUp(attempt, watch.why, error);
      throw error instanceof TappetError
        ? error
        : this.#deps.client.transport.cut(`pulling image ${image}`, error);
    } finally {
      watch.end();
    }
    return tally.snapshot().bytes;
  }

  /** The registry's errors come inside a successful answer, as progress objects. */
  async #read(
    attempt: PullAttempt,
    ref: ImageRef,
    tally: PullTally,
    watch: Watchdog,
    auth: RegistryAuth | undefined,
  ): Promise<void> {
    const { repository, tag } = ref;
    const answer = await this.#deps.client.pullImage(repository, tag, watch.signal, watch.totalMs, auth);
    if ('status' in answer) throw pullFailure(attempt, answer.message, answer.status);
    const take = (line: string): void => {
      const error = tally.take(line);
      if (error !== null) throw pullFailure(attempt, error, 0);
    };
    let rest = '';
    for await (const chunk of answer.setEncoding('utf8')) {
      watch.progress();
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE) throw pullFailure(attempt, 'the engine’s progress cannot be read', 0);
      for (const line of lines) take(line);
    }
    take(rest);
  }
}

function authOf(host: string, account: RegistryAccount | undefined): RegistryAuth | undefined {
  if (account === undefined) return undefined;
  // The name that Docker Hub has had in this place since before it moved.
  const serveraddress = host === DOCKER_HUB ? 'https://index.docker.io/v1/' : host;
  if ('identityToken' in account) return { identitytoken: account.identityToken.reveal(), serveraddress };
  return { username: account.username, password: account.password.reveal(), serveraddress };
}

/** Ends a pull that takes too long in all, or brings nothing for too long. */
class Watchdog {
  readonly #clock: Clock;
  readonly totalMs: number;
  readonly #idleMs: number;
  readonly #controller = new AbortController();
  readonly #cancelTotal: () => void;
  #cancelIdle: () => void;
  #why: string | null = null;

  constructor(clock: Clock, { timeoutMs, idleMs }: PullLimits) {
    this.#clock = clock;
    this.totalMs = timeoutMs;
    this.#idleMs = idleMs;
    const total = `it took more than ${formatDuration(timeoutMs)}`;
    this.#cancelTotal = clock.setTimer(timeoutMs, () => this.#giveUp(total));
    this.#cancelIdle = this.#armIdle();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The reason for which it was ended; null = it was not. */
  get why(): string | null {
    return this.#why;
  }

  progress(): void {
    this.#cancelIdle();
    this.#cancelIdle = this.#armIdle();
  }

  end(): void {
    this.#cancelTotal();
    this.#cancelIdle();
  }

  #armIdle(): () => void {
    const idle = `there was no progress for ${formatDuration(this.#idleMs)}`;
    return this.#clock.setTimer(this.#idleMs, () => this.#giveUp(idle));
  }

  #giveUp(why: string): void {
    this.#why ??= why;
    this.#controller.abort();
  }
}
