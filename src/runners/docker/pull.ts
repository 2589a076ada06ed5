import type { Clock } from '../../core/clock.ts';
import { TappetError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { ImageRef } from '../../lib/image-ref.ts';
import type { EngineClient } from './engine-client.ts';

export const PULL_TOTAL_MS = 10 * 60_000;
export const PULL_IDLE_MS = 2 * 60_000;
/** A progress object is some 200 bytes; what has no line end for this long is not the engine. */
const MAX_LINE = 1024 * 1024;

/**
 * Pulls, and returns when the engine says that it is done; whether the image is there, only an inspect tells. The
 * registry's errors come inside a successful answer, as progress objects.
 * Errors: IMAGE_NOT_FOUND, IMAGE_UNAUTHORIZED, IMAGE_PULL_FAILED, ENGINE_UNAVAILABLE.
 */
export async function pull(client: EngineClient, clock: Clock, image: string, ref: ImageRef): Promise<void> {
  const watch = new Watchdog(clock);
  try {
    const answer = await client.pullImage(ref.repository, ref.tag, watch.signal);
    if ('status' in answer) throw pullError(image, answer.message, answer.status);
    let rest = '';
    for await (const chunk of answer.setEncoding('utf8')) {
      watch.progress();
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE) throw pullError(image, 'the engine’s progress cannot be read', 0);
      for (const line of lines) checkProgress(image, line);
    }
    checkProgress(image, rest);
  } catch (error) {
    if (watch.why !== null) {
      throw new TappetError(
        'IMAGE_PULL_FAILED',
        `Pulling the image "${image}" was given up: ${watch.why}.`,
        {},
        error,
      );
    }
    throw error instanceof TappetError ? error : client.transport.cut(`pulling image ${image}`, error);
  } finally {
    watch.end();
  }
}

function checkProgress(image: string, line: string): void {
  if (line.trim() === '') return;
  const progress: unknown = JSON.parse(line);
  if (typeof progress !== 'object' || progress === null || !('error' in progress)) return;
  throw pullError(image, String(progress.error), 0);
}

/** The class of a failed pull, by what registries and engines are known to say. */
export function pullError(image: string, words: string, status: number): TappetError {
  const code = classOf(words, status);
  const what = {
    IMAGE_NOT_FOUND: `There is no image "${image}", neither on the engine nor at its registry`,
    IMAGE_UNAUTHORIZED: `The registry does not let the engine pull "${image}"`,
    IMAGE_PULL_FAILED: `The image "${image}" is not on the engine and could not be pulled`,
  }[code];
  const fix = {
    IMAGE_NOT_FOUND: 'Check the name and tag, or build it on the engine (docker build -t NAME .).',
    IMAGE_UNAUTHORIZED:
      'Pull it on the engine’s machine with an account that may (docker login, docker pull).',
    IMAGE_PULL_FAILED:
      'See that the engine’s machine reaches the registry, or load the image there (docker load).',
  }[code];
  return new TappetError(code, `${what}: ${words.trim() || `HTTP ${status}`}`, { fix });
}

type PullCode = Extract<ErrorCode, 'IMAGE_NOT_FOUND' | 'IMAGE_UNAUTHORIZED' | 'IMAGE_PULL_FAILED'>;

function classOf(words: string, status: number): PullCode {
  if (/toomanyrequests|too many requests|no space left/i.test(words)) return 'IMAGE_PULL_FAILED';
  // Docker Hub says "access denied, does not exist or may require login" for names that do not exist.
  if (/manifest unknown|not found|does not exist|no such image|name unknown/i.test(words)) {
    return /no such host|lookup /i.test(words) ? 'IMAGE_PULL_FAILED' : 'IMAGE_NOT_FOUND';
  }
  if (
    /unauthorized|authentication required|no basic auth|denied|forbidden/i.test(words) ||
    status === 401 ||
    status === 403
  ) {
    return 'IMAGE_UNAUTHORIZED';
  }
  return status === 404 ? 'IMAGE_NOT_FOUND' : 'IMAGE_PULL_FAILED';
}

/** Ends a pull that takes too long in all, or brings nothing for too long. */
class Watchdog {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #cancelTotal: () => void;
  #cancelIdle: () => void;
  #why: string | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#cancelTotal = clock.setTimer(PULL_TOTAL_MS, () => this.#giveUp('it took more than 10 minutes'));
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
    return this.#clock.setTimer(PULL_IDLE_MS, () => this.#giveUp('there was no progress for 2 minutes'));
  }

  #giveUp(why: string): void {
    this.#why ??= why;
    this.#controller.abort();
  }
}
