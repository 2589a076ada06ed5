import { errorText, isTappetError } from '../../src/core/errors.ts';
import type { SourceContext, SourceProblem } from '../../src/core/source.ts';

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;
/**
 * After a failure the first listing that works may have met the store in its first moments. MinIO takes uploads for
 * about 0.1 s before it notifies of any, so a second listing looks for what fell in between.
 */
const RETURN_MS = 1_000;

export interface PollDeps {
  /** A whole listing. */
  work(): Promise<void>;
  readonly context: Pick<SourceContext, 'clock' | 'log'>;
  readonly pollMs: number;
  /** For the log: `s3://store/videos/in/`. */
  readonly place: string;
}

/**
 * Lists one place again and again.
 *
 *     idle      → listing   at `ring`, or by the clock
 *     listing   → idle      done: the next in `pollMs`, or in 1 s after a failure, or at once if it rang meanwhile
 *     listing   → idle      failed: the next in 1 s, doubling up to 30 s; `problem` tells why until one succeeds
 *     idle      → idle      `hurry` after a failure: the next in 1 s, however often it is called
 *     any       → stopped   `stop`, which waits for the listing under way
 *
 * Timers, not times: a clock that is set back must not put off a listing.
 */
export class Poll {
  readonly #deps: PollDeps;
  #listing: Promise<void> | undefined;
  #cancel: (() => void) | undefined;
  #again = false;
  #hurried = false;
  #stopped = false;
  #pause = 0;
  #problem: SourceProblem | undefined;

  constructor(deps: PollDeps) {
    this.#deps = deps;
  }

  get problem(): SourceProblem | undefined {
    return this.#problem;
  }

  /** Lists now, or once more after the listing under way. Resolves when that listing has ended, well or not. */
  async ring(): Promise<void> {
    if (this.#stopped) return;
    if (this.#listing !== undefined) {
      this.#again = true;
      return this.#listing;
    }
    this.#cancel?.();
    this.#cancel = undefined;
    this.#listing = this.#list();
    await this.#listing;
  }

  /** The store gives a sign: what waits after a failure waits for 1 s at most. Each of a thousand signs a second may call. */
  hurry(): void {
    if (this.#stopped || this.#problem === undefined || this.#listing !== undefined || this.#hurried) return;
    this.#hurried = true;
    this.#cancel?.();
    this.#cancel = this.#deps.context.clock.setTimer(RETRY_MIN_MS, () => void this.ring());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#listing;
  }

  async #list(): Promise<void> {
    let pause: number;
    try {
      await this.#deps.work();
      pause = this.#succeeded();
    } catch (error) {
      pause = this.#failed(error);
    }
    this.#listing = undefined;
    this.#hurried = false;
    if (this.#stopped) return;
    if (this.#again && this.#problem === undefined) pause = 0;
    this.#again = false;
    this.#cancel = this.#deps.context.clock.setTimer(pause, () => void this.ring());
  }

  #succeeded(): number {
    const returned = this.#problem !== undefined;
    this.#problem = undefined;
    this.#pause = 0;
    if (!returned) return this.#deps.pollMs;
    this.#deps.context.log.info('the bucket can be listed again', { place: this.#deps.place });
    return Math.min(RETURN_MS, this.#deps.pollMs);
  }

  #failed(error: unknown): number {
    this.#pause = Math.min(Math.max(this.#pause * 2, RETRY_MIN_MS), RETRY_MAX_MS);
    if (this.#stopped) return this.#pause;
    const message = explain(error);
    const { clock, log } = this.#deps.context;
    // Once per cause: the next line about it is another cause, or that it is over.
    if (this.#problem?.message !== message) {
      log.warn('a bucket cannot be listed; tried again until it can', { place: this.#deps.place, error });
    }
    this.#problem = { message, since: this.#problem?.since ?? clock.now() };
    return this.#pause;
  }
}

/** What is wrong, and what to do about it. */
function explain(error: unknown): string {
  const fix = isTappetError(error) ? error.fields.fix : undefined;
  return fix === undefined ? errorText(error) : `${errorText(error)}: ${fix}`;
}
