import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import type { EngineClient } from './engine-client.ts';

/** A connection may die without a word: then a look after this finds what it would have told. */
const IDLE_MS = 30_000;
/** Between two looks where the engine tells nothing any more. */
const UNWATCHED_MS = 1000;
/** Docker answers at once, Podman with the first output only: that is not waited for. */
const OPEN_MS = 500;

/**
 * Tells that a container has written something or has ended, by following its log. What the log brings is dropped:
 * followed logs are not complete.
 */
export class OutputWatch {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #opened: Promise<void>;
  #output = false;
  #ended = false;
  #endTold = false;
  #wake: () => void = () => {};

  constructor(client: Pick<EngineClient, 'followLog'>, clock: Clock, name: string) {
    this.#clock = clock;
    this.#opened = client.followLog(name, this.#controller.signal).then(
      (stream) => this.#listen(stream),
      // Whether the engine is gone, the next look at the container tells.
      () => this.#end(),
    );
  }

  /** From here on output is told, as far as the engine can say so. */
  async opened(): Promise<void> {
    await this.#waitFor(OPEN_MS, [this.#opened]);
  }

  /**
   * Settles `pauseMs` after output, at the end at once, and now and then without a reason. Whoever was busy when the end
   * came hears of it at the next call: only from then on does it pause again.
   */
  async next(pauseMs: number): Promise<void> {
    if (this.#endTold) return this.#waitFor(Math.max(pauseMs, UNWATCHED_MS), []);
    if (!this.#ended && !this.#output) await this.#waitFor(IDLE_MS, [this.#woken()]);
    this.#output = false;
    if (!this.#ended) await this.#waitFor(pauseMs, [this.#whenEnded()]);
    this.#endTold = this.#ended;
  }

  close(): void {
    this.#controller.abort();
    this.#end();
  }

  #listen(stream: IncomingMessage | null): void {
    if (stream === null) return this.#end();
    stream.on('data', () => {
      this.#output = true;
      this.#wake();
    });
    stream.once('error', () => this.#end());
    stream.once('close', () => this.#end());
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #whenEnded(): Promise<void> {
    while (!this.#ended) await this.#woken();
  }

  async #waitFor(ms: number, events: readonly Promise<void>[]): Promise<void> {
    let cancel = () => {};
    const late = new Promise<void>((resolve) => {
      cancel = this.#clock.setTimer(ms, resolve);
    });
    try {
      await Promise.race([late, ...events]);
    } finally {
      cancel();
    }
  }
}
