import { keyOf } from '../core/execution.ts';
import type { Attempt, AttemptResult, Execution, LogBytes } from '../core/execution.ts';
import type { Claim } from '../core/store.ts';
import type { ContainerStatus, PreparedImage, PullProgress } from '../core/runner.ts';
import { chargeOf } from '../core/admission.ts';
import type { Charge } from '../core/admission.ts';
import { errorText, isTappetError } from '../core/errors.ts';
import { isTerminal } from '../core/states.ts';
import type { AttemptUsage } from '../core/usage.ts';
import { deferred } from '../lib/deferred.ts';
import { onAbort } from '../lib/service.ts';
import { startAttempt } from './attempt-start.ts';
import { Bell, BellTimer } from './bell.ts';
import { ContainerLook } from './container-look.ts';
import { adoptedImage, hasStarted } from './container-status.ts';
import type { ImageHold } from './execution-images.ts';
import { HoldUp } from './hold-up.ts';
import type { LifeContext } from './life-context.ts';
import { openCapture } from './log-capture.ts';
import type { LogCapture } from './log-capture.ts';
import { outcomeOf } from './outcome.ts';
import type { Ended } from './outcome.ts';
import { storeOutputs } from './outputs.ts';
import { takeOutput } from './output-value.ts';
import { Stopper } from './stopper.ts';
import { usageAtEnd } from './usage-meter.ts';
import type { Gauge } from './usage-meter.ts';

/**
 * After the output has ended the exit is usually seen within milliseconds: looks at these distances, in ms. Where
 * it does not come (a process may close its output and go on), hints and the sweep find it.
 */
const LOOKS_MS = [5, 10, 20, 50, 100, 200, 500, 1000] as const;

/** How soon a container is looked at again of which the engine did not want to tell. */
const REFUSED_LOOK_MS = 5_000;

/**
 * The life of one attempt. Each step is stored or idempotent, so that a process that ends after any of them is
 * followed by one that goes on. What a crash after a step leaves, and how it is taken up:
 *
 * | step           | row                | container       | taken up by                                              |
 * |----------------|--------------------|-----------------|----------------------------------------------------------|
 * | claimed        | STARTING           | none            | starting from the beginning                              |
 * | rendered       | STARTING, rendered | none            | the same; the stored rendering counts                    |
 * | prepared       | STARTING           | none            | the same; the image is there already                     |
 * | created        | STARTING           | created         | `ensure` again, which puts all inputs and starts it      |
 * | inputs put     | STARTING           | created         | the same: nothing tells how much of them is there        |
 * | ensured        | STARTING           | runs or ended   | `inspect`: its start is stored, its log resumed          |
 * | started stored | RUNNING, deadline  | runs            | log resumed from its cursor, timeout counted on          |
 * | stop requested | RUNNING, stop…     | runs            | stopped again; who did not send it gives a whole grace   |
 * | exit seen      | RUNNING            | ended           | log read to the end, finished                            |
 * | log complete   | RUNNING            | ended           | the same; nothing is missing from the log                |
 * | some outputs   | RUNNING            | ended           | after exit code 0: all of them are stored again, each    |
 * |                |                    |                 | object as a whole under the same key                     |
 * | all outputs    | RUNNING            | ended           | the same; then finished                                  |
 * | finish stored  | ended              | ended           | adoption removes containers without an open attempt      |
 * | removed        | ended              | none            | nothing to do                                            |
 *
 * A row that says RUNNING without a container is CONTAINER_LOST. A session that ends (stop, another owner) ends
 * the life at its next step: the container stays, and nothing more is written.
 */
export class AttemptLife {
  readonly holdUp = new HoldUp();
  readonly #context: LifeContext;
  readonly #execution: Execution;
  readonly #resumed: boolean;
  readonly #onFinished: (nothingFollows: boolean) => void;
  readonly #bell = new Bell();
  readonly #ring = (): void => this.#bell.ring();
  readonly #stopAsked = deferred<void>();
  readonly #stopper: Stopper;
  readonly #look: ContainerLook;
  readonly #lookAgain: BellTimer;
  readonly #timeout: BellTimer;
  #attempt: Attempt;
  #capture: LogCapture | undefined;
  #gauge: Gauge | undefined;
  #looks = 0;

  /** `resumed`: it may have been begun before, by this or another process. `onFinished`: its end is stored; whether nothing can follow but what waits for room. */
  constructor(
    context: LifeContext,
    claim: Claim,
    resumed: boolean,
    onFinished: (nothingFollows: boolean) => void,
  ) {
    this.#context = context;
    this.#attempt = claim.attempt;
    this.#execution = claim.execution;
    this.#resumed = resumed;
    this.#onFinished = onFinished;
    const { runner, gate, clock, log, session, times } = context;
    this.#stopper = new Stopper({
      runner,
      gate,
      clock,
      times,
      log,
      signal: session.signal,
      onAct: this.#ring,
    });
    times.takenOver(this.#attempt, this.#execution.spec.timeoutMs);
    this.#lookAgain = new BellTimer(clock, this.#bell);
    this.#timeout = new BellTimer(clock, this.#bell);
    this.#look = new ContainerLook({
      context,
      name: this.name,
      stopper: this.#stopper,
      stopRequested: () => this.#attempt.stopReason !== null,
    });
  }

  get name(): string {
    return this.#attempt.containerName;
  }

  /** What it holds of the host. */
  get charge(): Charge {
    return chargeOf(this.#attempt, this.#execution.spec);
  }

  /** Which task it is of. */
  get task(): Pick<Attempt, 'execution' | 'index'> {
    return this.#attempt;
  }

  /** What keeps it from going on, in words that follow "It"; null = nothing. */
  waitWords(pulls: readonly PullProgress[]): string | null {
    const kept = [this.#stopper.words, this.#look.words].filter((words) => words !== null);
    return this.holdUp.words(pulls) ?? (kept.join(', and it ') || null);
  }

  /** Something may have happened to the container. */
  ring(): void {
    this.#bell.ring();
  }

  /** Somebody asked to stop; `attempt` is the row with the request. */
  stopRequested(attempt: Attempt): void {
    if (attempt.stopReason === null || this.#attempt.stopReason !== null) return;
    const { stopReason, stopRequestTime } = attempt;
    this.#attempt = { ...this.#attempt, stopReason, stopRequestTime };
    this.#stopAsked.resolve();
    this.#bell.ring();
  }

  /** Resolves when the attempt has ended and its container is gone. Errors: SessionOver, and bugs. */
  async run(): Promise<void> {
    const undo = onAbort(this.#context.session.signal, this.#ring);
    const held = this.#context.images.hold(this.#execution.name, this.#resumed);
    try {
      await this.#live(held);
    } finally {
      held.end();
      undo();
      this.#stopper.cancel();
      this.#lookAgain.cancel();
      this.#timeout.cancel();
      this.#gauge?.end();
      await this.#capture?.close();
    }
  }

  /** Gives up after bugs: removes the container and says so in the row. Errors: SessionOver, and bugs. */
  async fail(message: string): Promise<void> {
    const { clock } = this.#context;
    const removed = await this.#remove();
    // It may only have begun to.
    const { state } = (await this.#look.ask()) ?? { state: removed ? 'missing' : 'running' };
    if (state === 'running') await this.#untilStopped();
    const reason = this.#attempt.state === 'RUNNING' ? 'CONTAINER_LOST' : 'CONTAINER_START_FAILED';
    await this.#store(
      { state: 'FAILED', reason, message, exitCode: null, signal: null, endTime: clock.now() },
      null,
    );
  }

  async #live(held: ImageHold): Promise<void> {
    const status = this.#resumed
      ? await this.holdUp.during(
          () => this.#look.words ?? 'is looked for on the engine',
          () => this.#inspect(),
        )
      : ({ state: 'missing' } as const);
    if (hasStarted(status)) this.#context.images.runs(this.#execution.name, adoptedImage(status));
    held.seen();
    if (this.#attempt.state === 'STARTING' && !hasStarted(status)) return this.#start(status);
    if (!hasStarted(status)) return this.#end({ state: 'missing' });
    await this.#started(status.startTime, adoptedImage(status));
    if (status.state === 'exited') return this.#end(status);
    const capture = await this.#openLog();
    await capture.resume();
    await this.#end(await this.#untilEnded());
  }

  async #start(status: ContainerStatus): Promise<void> {
    const capture = await this.#openLog();
    const started = await startAttempt({
      context: this.#context,
      execution: this.#execution,
      capture,
      attempt: () => this.#attempt,
      holdUp: this.holdUp,
      inspect: () => this.#inspect(),
      stopAsked: this.#stopAsked.promise,
    });
    if (started.outcome === 'never') {
      await this.#store(started.result, await capture.close());
      if (status.state === 'created') await this.#remove();
      return;
    }
    const { ensured } = started;
    const image = { ...started.image, pulledBytes: started.image.pulledBytes ?? 0 };
    if (ensured.outcome === 'started') {
      // By the time that its start is stored the time of day may be another.
      this.#context.times.started(this.name);
      capture.attached(ensured.captured);
      await this.#started(ensured.startTime, image);
      return this.#end(await this.#untilEnded());
    }
    if (!hasStarted(ensured.status))
      throw new Error(`${this.name} was to be started but is ${ensured.status.state}`);
    await this.#started(ensured.status.startTime, image);
    if (ensured.status.state === 'exited') return this.#end(ensured.status);
    await capture.resume();
    await this.#end(await this.#untilEnded());
  }

  /** Stores that the process runs; the row that comes back has the deadline, and a request to stop if there is one. */
  async #started(startTime: number, image: PreparedImage | null): Promise<void> {
    if (this.#attempt.state === 'RUNNING') return;
    const { images, session, store, times } = this.#context;
    images.runs(this.#execution.name, image);
    const params = {
      key: keyOf(this.#attempt),
      epoch: session.epoch,
      startTime,
      imageDigest: image?.digest ?? null,
      imageRepoDigest: image?.repoDigest ?? null,
      pulledBytes: image?.pulledBytes ?? null,
    };
    const row = await session.write(() => store.attemptStarted(params), this.holdUp);
    times.takenOver(row, this.#execution.spec.timeoutMs);
    // A request that was heard of meanwhile is not in the row that was read before.
    const seen = this.#attempt;
    this.#attempt = row;
    this.stopRequested(seen);
  }

  async #untilEnded(): Promise<Ended> {
    this.#gauge = this.#context.meter.watch(this.#attempt, this.#context.times.ranMs(this.name) ?? 0);
    for (;;) {
      await this.#stopWhereDue();
      await this.#bell.wait();
      this.#context.session.throwIfOver();
      const status = await this.#inspect();
      if (status.state === 'exited' || status.state === 'missing') return status;
      // The engine forgot that it ran (its data was set back): there is no exit to wait for.
      if (status.state === 'created') return { state: 'missing' };
      await this.#keepCapturing();
    }
  }

  async #stopWhereDue(): Promise<void> {
    const { session, store } = this.#context;
    if (this.#stopper.begun) return;
    if (this.#attempt.stopReason === null) {
      if (!this.#timeoutIsOver()) return;
      // The intent first: a crash in between must not turn a timeout into an exit of its own.
      this.#attempt = await session.write(
        () => store.requestStop(keyOf(this.#attempt), session.epoch, 'timeout'),
        this.holdUp,
      );
    }
    await this.#look.ask();
    // What it used before it was told to end; nobody waits for it.
    void this.#gauge?.measure();
    this.#stopper.begin(this.name, this.#execution.spec.gracePeriodMs);
  }

  /** Comes again when it may be. */
  #timeoutIsOver(): boolean {
    const ran = this.#context.times.ranMs(this.name);
    if (ran === null || this.#attempt.state !== 'RUNNING') return false;
    const left = Math.ceil(this.#execution.spec.timeoutMs - ran);
    if (left > 0) this.#timeout.set(left);
    return left <= 0;
  }

  /** The container runs although its output has ended: looks again soon, and reads on where the stream was cut. */
  async #keepCapturing(): Promise<void> {
    const ended = this.#capture?.ended;
    if (ended === undefined) return;
    const look = LOOKS_MS[this.#looks];
    this.#looks += 1;
    if (look !== undefined) {
      this.#lookAgain.set(look);
      return;
    }
    // Also where it seemed clean: whatever is written from now on must not be missed.
    this.#looks = 0;
    await this.#capture?.resume();
  }

  async #end(ended: Ended): Promise<void> {
    this.#stopper.cancel();
    this.#lookAgain.cancel();
    this.#gauge?.end();
    const capture = this.#capture ?? (await this.#openLog());
    const complete =
      ended.state === 'missing' ||
      (await this.holdUp.during(
        () => capture.words,
        () => capture.complete(),
      ));
    const bytes = await capture.close();
    const { clock, gate } = this.#context;
    const outcome = outcomeOf(this.#attempt, this.#execution.spec, ended, clock.now(), {
      ranAfterStopRequest: this.#look.ranAfterStopRequest,
      endedUntold: this.#stopper.waits,
      engineWasAway: ended.state === 'exited' && gate.wasAwayAround(ended.endTime),
      lastMemoryBytes: this.#gauge?.lastMemoryBytes ?? null,
    });
    const params = {
      context: this.#context,
      execution: this.#execution,
      holdUp: this.holdUp,
      attempt: () => this.#attempt,
      stopAsked: this.#stopAsked.promise,
    };
    const result = await storeOutputs(params, await takeOutput(params, outcome));
    const note = complete ? '' : ' The end of its output could not be read from the engine.';
    const usage = usageAtEnd(this.#gauge?.usage ?? this.#attempt.usage, ended, this.#execution.spec);
    await this.#store({ ...result, message: result.message + note }, bytes, usage);
    await this.#remove();
  }

  async #store(
    result: AttemptResult,
    logBytes: LogBytes | null,
    usage: AttemptUsage | null = null,
  ): Promise<void> {
    const { session, store } = this.#context;
    // Drawn once: a write that is tried again must not move the next attempt.
    const random = this.#context.random.next();
    const params = { key: keyOf(this.#attempt), epoch: session.epoch, result, logBytes, usage, random };
    const finished = await session.write(() => store.finishAttempt(params), this.holdUp);
    this.#context.times.end(this.name);
    const { execution, turnPassedOn } = finished;
    this.#onFinished(isTerminal(execution.state) && !turnPassedOn);
  }

  async #openLog(): Promise<LogCapture> {
    this.#capture = await openCapture(this.#context, this.#execution, this.#attempt, this.holdUp, this.#ring);
    return this.#capture;
  }

  /** What the container is, as soon as the engine tells; a stop that falls due meanwhile goes ahead. */
  async #inspect(): Promise<ContainerStatus> {
    for (;;) {
      const status = await this.#look.ask();
      if (status !== undefined) return status;
      await this.#stopWhereDue();
      this.#lookAgain.set(REFUSED_LOOK_MS);
      await this.#bell.wait();
      this.#context.session.throwIfOver();
    }
  }

  /** Whether it went. One that has ended and will not go is left to maintenance. */
  async #remove(): Promise<boolean> {
    const { gate, runner, log } = this.#context;
    try {
      await gate.through(() => runner.remove(this.name));
      return true;
    } catch (error) {
      if (!isTappetError(error, 'ENGINE_REFUSED')) throw error;
      log.warn(`The container ${this.name} could not be removed: ${errorText(error)}`);
      return false;
    }
  }

  /** Whatever came after it would run beside it. */
  async #untilStopped(): Promise<void> {
    const { session } = this.#context;
    const undo = onAbort(session.signal, this.#ring);
    this.#stopper.begin(this.name, 0);
    try {
      while ((await this.#inspect()).state === 'running') {
        await this.#bell.wait();
        session.throwIfOver();
      }
    } finally {
      undo();
      this.#stopper.cancel();
      this.#lookAgain.cancel();
    }
  }
}
