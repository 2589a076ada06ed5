import type { Clock } from '../core/clock.ts';
import { errorText, isTappetError } from '../core/errors.ts';
import { keyOf } from '../core/execution.ts';
import type { Attempt, Execution, LogBytes } from '../core/execution.ts';
import { JOB_DEFAULTS } from '../core/job.ts';
import type { Log } from '../core/log.ts';
import type { LogCursor, LogStream, LogWriter, OpenLog } from '../core/log-sink.ts';
import type { Runner } from '../core/runner.ts';
import { onAbort, OVER, pause } from '../lib/service.ts';
import type { EngineGate } from './engine-gate.ts';
import type { HoldUp } from './hold-up.ts';
import type { LifeContext } from './life-context.ts';
import { SessionOver } from './session.ts';
import type { Session } from './session.ts';

/** After the exit a stream may be silent for so long before it counts as stuck and the rest is read anew. */
const STALL_MS = 10_000;
/** How long to wait before it is asked again for the rest; then it is given up, half a minute after the first refusal. */
const AGAIN_MS = [1_000, 2_000, 4_000, 8_000, 15_000] as const;
/** Before it is asked for more of what it gives, and while the log has no room. */
const ON_MS = 1_000;

export interface LogCaptureOptions {
  readonly name: string;
  readonly runner: Runner;
  readonly gate: EngineGate;
  readonly writer: OpenLog;
  readonly clock: Clock;
  readonly log: Log;
  readonly session: Session;
  /** A stream has ended: the container may have, too. */
  readonly onEnd: () => void;
}

/** One stream of output on its way into the log. */
interface Pump {
  readonly sink: PumpWriter;
  /** true = it ended with the container, nothing is missing. */
  readonly done: Promise<boolean>;
  /** Nothing more is wanted of it. */
  readonly abort: () => void;
}

/** With the attempt's log. Waits where that cannot be opened now (disk full, no file handles left). Errors: SessionOver. */
export async function openCapture(
  { logs, runner, gate, clock, log, session }: LifeContext,
  execution: Execution,
  attempt: Attempt,
  holdUp: HoldUp,
  onEnd: () => void,
): Promise<LogCapture> {
  const maxBytes = execution.spec.maxLogBytes ?? JOB_DEFAULTS.maxLogBytes;
  const { epoch } = session;
  const writer = await session.write(() => logs.open(keyOf(attempt), { maxBytes, epoch }), holdUp);
  return new LogCapture({ runner, gate, clock, log, name: attempt.containerName, writer, session, onEnd });
}

/**
 * Gets an attempt's output into its log without a gap and without a byte twice. At any time at most one pump
 * writes: the stream attached before the start, or a resume from the log's own cursor. A pump that is given up
 * cannot write any more, and the next one starts only when its last write has landed.
 * idle → attached | resumed → ended → (cleanly: complete) | resumed again … → closed.
 */
export class LogCapture {
  readonly #options: LogCaptureOptions;
  #pump: Pump | undefined;
  #attaching: PumpWriter | undefined;
  #ended: 'clean' | 'cut' | undefined;
  #full = false;
  /** The bytes in the log when it last could not be written. */
  #refusedAt: number | undefined;

  constructor(options: LogCaptureOptions) {
    this.#options = options;
  }

  /** How the last pump ended; undefined while one runs. */
  get ended(): 'clean' | 'cut' | undefined {
    return this.#ended;
  }

  /** What the engine may write to before `attached` says whether it does. */
  async prepareAttach(): Promise<LogWriter> {
    await this.#attaching?.revoke();
    this.#attaching = this.#newSink();
    return this.#attaching;
  }

  /** The container was started with the writer of `prepareAttach`. */
  attached(captured: Promise<boolean>): void {
    const sink = this.#attaching ?? this.#newSink();
    this.#attaching = undefined;
    // The stream ends with the container; what it still tells is refused by the sink.
    this.#run({ sink, done: captured.catch(() => false), abort: () => undefined });
  }

  /** What its end waits for. */
  get words(): string {
    return this.#full
      ? "waits for the gateway's own disk, to write the end of its log"
      : 'has the end of its log read';
  }

  /** Reads on where the log stands, in the background, as long as the container runs. */
  async resume(): Promise<void> {
    await this.#giveUp();
    this.#run(this.#resumed());
  }

  /**
   * After the exit: waits for the rest, and reads it anew where the stream was cut or stuck. While the log cannot be
   * written (disk full) it waits: the container has the only copy. false = the end of the output could not be had.
   * Errors: SessionOver.
   */
  async complete(): Promise<boolean> {
    if (this.#ended === 'clean') return true;
    const { clock, session } = this.#options;
    if (this.#pump !== undefined && (await this.#untilStalled(this.#pump.done))) return true;
    for (let refusals = 0; ;) {
      const before = this.#taken();
      await this.#giveUp();
      const pump = this.#resumed();
      this.#pump = pump;
      const clean = await this.#untilStalled(pump.done);
      if (session.signal.aborted) throw new SessionOver();
      if (clean) return true;
      this.#full = pump.sink.refused;
      // As long as it comes forward it may go on, however long the log is.
      if (this.#taken() > before) refusals = 0;
      const engineFails = this.#taken() === before && !pump.sink.refused;
      const wait = engineFails ? AGAIN_MS[refusals++] : ON_MS;
      if (wait === undefined) return false;
      await pause(clock, wait, session.signal);
    }
  }

  /** Nothing is written after it. Returns the bytes in the log. */
  async close(): Promise<LogBytes> {
    await this.#giveUp();
    const { writer, session, log, name } = this.#options;
    try {
      // Whether it ends here is for the next owner to say; and where its execution is gone, no file of it may come again.
      if (session.isOver()) await writer.leave();
      else return await writer.close();
    } catch (error) {
      log.warn(`The log of ${name} may not outlast a power cut: ${errorText(error)}`);
    }
    const { stdout, stderr } = writer.cursor();
    return { stdout: stdout.bytes, stderr: stderr.bytes };
  }

  #newSink(): PumpWriter {
    return new PumpWriter(this.#options.writer, this.#options.session);
  }

  #run(pump: Pump): void {
    this.#pump = pump;
    this.#ended = undefined;
    void pump.done.then((clean) => {
      if (this.#pump !== pump) return;
      this.#ended = clean ? 'clean' : 'cut';
      this.#options.onEnd();
    });
  }

  #resumed(): Pump {
    const { runner, gate, name, session } = this.#options;
    const sink = this.#newSink();
    const abort = new AbortController();
    const undo = onAbort(session.signal, () => abort.abort(OVER));
    const done = gate
      .through(() => runner.logs(name, sink, abort.signal))
      .then(
        () => !abort.signal.aborted,
        (error: unknown) => {
          if (!(error instanceof SessionOver)) this.#warn(error);
          return false;
        },
      )
      .finally(undo);
    return { sink, done, abort: () => abort.abort(OVER) };
  }

  /** A full disk, or a log that the engine cannot read, refuses each try: said once, until something was taken again. */
  #warn(error: unknown): void {
    const lasts = isTappetError(error, 'STORE_UNAVAILABLE') || isTappetError(error, 'ENGINE_REFUSED');
    const refusedAt = lasts ? this.#taken() : undefined;
    const known = refusedAt !== undefined && refusedAt === this.#refusedAt;
    this.#refusedAt = refusedAt;
    const { log, name } = this.#options;
    if (!known) log.warn(`The output of ${name} could not be read on: ${errorText(error)}`);
  }

  async #giveUp(): Promise<void> {
    const pump = this.#pump;
    this.#pump = undefined;
    pump?.abort();
    await Promise.all([pump?.sink.revoke(), this.#attaching?.revoke()]);
    this.#attaching = undefined;
  }

  /** Waits for the pump's end, or until nothing has come for STALL_MS while the engine answers. true = a clean end. */
  async #untilStalled(done: Promise<boolean>): Promise<boolean> {
    const { clock, gate } = this.#options;
    const { signal } = this.#options.session;
    let result: boolean | undefined;
    const settled = done.then((clean) => (result = clean));
    for (;;) {
      const before = this.#taken();
      const waited = new AbortController();
      const undo = onAbort(signal, () => waited.abort(OVER));
      await Promise.race([settled, pause(clock, STALL_MS, waited.signal)]);
      undo();
      waited.abort(OVER);
      const stalled = this.#taken() === before && gate.up;
      if (result === undefined && !stalled && !signal.aborted) continue;
      return result === true;
    }
  }

  #taken(): number {
    const { stdout, stderr } = this.#options.writer.cursor();
    return stdout.bytes + stderr.bytes;
  }
}

/** Lets one pump write until it is revoked or the session is over. */
class PumpWriter implements LogWriter {
  readonly #inner: LogWriter;
  readonly #session: Session;
  readonly #landing = new Set<Promise<void>>();
  #revoked = false;
  #refused = false;

  constructor(inner: LogWriter, session: Session) {
    this.#inner = inner;
    this.#session = session;
  }

  /** The log could not take a write now; it may take it later. */
  get refused(): boolean {
    return this.#refused;
  }

  cursor(): LogCursor {
    return this.#inner.cursor();
  }

  async write(stream: LogStream, data: Uint8Array): Promise<void> {
    if (this.#revoked) throw new TypeError('this stream of output was given up');
    // What came while the process stood still is another owner's, who reads it from the engine.
    this.#session.throwIfOver();
    const write = this.#inner.write(stream, data);
    this.#landing.add(write);
    try {
      await write;
    } catch (error) {
      this.#refused ||= isTappetError(error, 'STORE_UNAVAILABLE');
      throw error;
    } finally {
      this.#landing.delete(write);
    }
  }

  async revoke(): Promise<void> {
    this.#revoked = true;
    await Promise.allSettled(this.#landing);
  }
}
