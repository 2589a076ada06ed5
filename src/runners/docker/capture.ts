import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { errorText } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { LogWriter } from '../../core/log-sink.ts';
import { Demux, coalesce } from './demux.ts';
import type { EngineClient } from './engine-client.ts';
import { readStatus } from './exit.ts';

/** A sink that takes longer than this for one write loses the stream: a paused reader blocks the container. */
const STALLED_MS = 5000;
/** After its last output a container takes some ms to be reported as ended; one that is not by then goes on silently. */
const END_CHECKS_MS = [0, 10, 40, 150, 400, 900];

/**
 * Docker's time of the end is some 50 ms before ours of the last byte, Podman's as much later (measured); what is cut
 * between two frames so shortly before the end is not seen.
 */
const END_NOTED_MS = 500;
/** What was there already is read within this. */
const AT_ONCE_MS = 5;

export interface CaptureDeps {
  readonly client: EngineClient;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The output of a container that was attached before its start. Nothing is read before `run`; `discard` lets go.
 * What is not read by then waits in the engine (about 1 MB, then the container waits too).
 */
export class Capture {
  readonly #deps: CaptureDeps;
  readonly #name: string;
  readonly #stream: IncomingMessage;
  readonly #outages: number;
  /** When its last bytes came, and when they had been written. */
  #lastRead = 0;
  #lastWritten = 0;

  constructor(deps: CaptureDeps, name: string, stream: IncomingMessage) {
    this.#deps = deps;
    this.#name = name;
    this.#stream = stream;
    this.#outages = deps.client.transport.outages;
  }

  discard(): void {
    this.#stream.destroy();
  }

  /** Writes everything into `writer`. true = it ended with the container, and every byte was taken. Never rejects. */
  async run(writer: LogWriter): Promise<boolean> {
    try {
      const whole = await this.#pump(writer);
      return whole && (await this.#endedWithContainer(this.#streamEnd()));
    } catch (error) {
      this.#deps.log.warn(
        'the output of a container is no longer captured; it is resumed from the engine’s log',
        {
          container: this.#name,
          reason: errorText(error),
        },
      );
      return false;
    } finally {
      this.#stream.destroy();
    }
  }

  /** At the latest. Where it was over as soon as the last write had landed, it may have ended while that took its time. */
  #streamEnd(): number {
    const now = this.#deps.clock.now();
    return now - this.#lastWritten < AT_ONCE_MS ? this.#lastRead : now;
  }

  async #pump(writer: LogWriter): Promise<boolean> {
    const demux = new Demux();
    const { clock } = this.#deps;
    for await (const chunk of this.#stream) {
      this.#lastRead = clock.now();
      if (!(chunk instanceof Buffer)) throw new TypeError('the engine’s output is not bytes');
      for (const { stream, data } of coalesce(demux.push(chunk))) {
        await this.#orLetGo(writer.write(stream, data));
      }
      this.#lastWritten = clock.now();
    }
    if (demux.systemError !== null) throw new Error(demux.systemError);
    return demux.atBoundary;
  }

  /** Waits for the write to its end in any case, so that nobody else writes meanwhile. */
  async #orLetGo(write: Promise<void>): Promise<void> {
    let stalled = false;
    const cancel = this.#deps.clock.setTimer(STALLED_MS, () => {
      stalled = true;
      this.#stream.destroy();
    });
    try {
      await write;
    } finally {
      cancel();
    }
    if (stalled) throw new Error(`writing its log took more than ${STALLED_MS / 1000} s`);
  }

  /**
   * The stream has no length: the engine's death ends it just as the container's end does, and so does a proxy that
   * closes it. It was the container's if the engine was never found gone meanwhile and now says that the container had
   * ended by then. Where the engine's clock is ahead of ours, the output is read once more for nothing.
   */
  async #endedWithContainer(streamEnd: number): Promise<boolean> {
    const { client, clock } = this.#deps;
    for (const ms of END_CHECKS_MS) {
      if (ms > 0) await new Promise<void>((resolve) => void clock.setTimer(ms, resolve));
      const found = await client.inspectContainer(this.#name);
      if (found === null || client.transport.outages !== this.#outages) return false;
      const status = readStatus(found.State);
      if (status.state === 'exited') return status.endTime <= streamEnd + END_NOTED_MS;
    }
    return false;
  }
}
