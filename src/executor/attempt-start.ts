import { envTotalProblem, envValueProblem } from '../core/env.ts';
import { errorText, errorWithFix, isTappetError } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import { keyOf } from '../core/execution.ts';
import type { Attempt, AttemptReason, AttemptResult, Execution, RenderedSpec } from '../core/execution.ts';
import type { ContainerSpec, ContainerStatus, Ensured, PreparedImage } from '../core/runner.ts';
import { onAbort, OVER, pause } from '../lib/service.ts';
import { adoptedImage, hasStarted } from './container-status.ts';
import { taskEnvironment } from './environment.ts';
import { imageWords } from './hold-up.ts';
import type { HoldUp, HoldUpWords } from './hold-up.ts';
import { inTurn } from './in-turn.ts';
import type { LifeContext } from './life-context.ts';
import type { LogCapture } from './log-capture.ts';
import { neverRan, stopWords } from './outcome.ts';
import { missingConnection } from './outputs.ts';
import { renderSpec } from './render.ts';
import { Inputs, secretEnvironment } from './staging.ts';

/** An engine that refuses a start may be about to end or short of something: asked so often, so far apart. */
const START_TRIES = 3;
const START_PAUSE_MS = 5_000;

export interface StartParams {
  readonly context: LifeContext;
  readonly execution: Execution;
  readonly capture: LogCapture;
  readonly holdUp: HoldUp;
  /** The row as last seen; a request to stop shows in it. */
  attempt(): Attempt;
  /** What its container is, as soon as the engine tells. Errors: SessionOver. */
  inspect(): Promise<ContainerStatus>;
  /** Settles when somebody asks to stop. */
  readonly stopAsked: Promise<void>;
}
export type Started =
  | { readonly outcome: 'runs'; readonly ensured: Ensured; readonly image: PreparedImage }
  | Never;
/** The container did not run and never will: of what was asked of the engine, nothing has come. */
interface Never {
  readonly outcome: 'never';
  readonly result: AttemptResult;
}

/** What a container is made of, beside its image; the same at each try. */
interface Made {
  readonly rendered: RenderedSpec;
  /** The job's, secrets included: never stored, never written to a log. */
  readonly env: Readonly<Record<string, string>>;
  readonly inputs: Inputs;
  /** Ends the putting of inputs. */
  readonly signal: AbortSignal;
  /** What the engine was last asked to start: from then on its container may run, whatever the answer. */
  asked?: PreparedImage;
}

/**
 * From a claimed attempt to a container: render, read secrets, prepare the image, create, put the inputs, start.
 * Writes only what templates became. May be repeated from the beginning after a crash at any place.
 * Errors: SessionOver, and bugs.
 */
export async function startAttempt(params: StartParams): Promise<Started> {
  const { session } = params.context;
  if (params.attempt().stopReason !== null) return cancelled(params);
  const rendered = await render(params);
  if ('outcome' in rendered) return rendered;
  const env = await environment(params, rendered);
  if ('outcome' in env) return env;
  const abort = new AbortController();
  const undo = onAbort(session.signal, () => abort.abort(OVER));
  void params.stopAsked.then(() => abort.abort(OVER));
  const { signal } = abort;
  const { objects, secrets, localFiles, bodies } = params.context;
  const { spec } = params.execution;
  const inputs = new Inputs({ objects, secrets, localFiles, bodies, spec, rendered, signal });
  try {
    const made: Made = { rendered, env: env.values, inputs, signal };
    const started = await tryToStart(params, made);
    if (started.outcome === 'runs') return started;
    // To be told may take long: nothing that was opened for its files stays open.
    abort.abort(OVER);
    const after = made.asked && (await startedAfterAll(params, made.asked));
    return after ?? (params.attempt().stopReason === null ? started : cancelled(params));
  } finally {
    undo();
    // What was opened for a start that failed meanwhile would stay open: nobody reads it.
    abort.abort(OVER);
  }
}

async function tryToStart(params: StartParams, made: Made): Promise<Started> {
  const { context, execution, holdUp } = params;
  for (let tries = 1; ; tries++) {
    try {
      const image = await holdUp.during(imageWaits(params), () =>
        Promise.race([context.images.prepare(execution), params.stopAsked]),
      );
      if (image === undefined) return cancelled(params);
      return await createInTurn(params, made, image);
    } catch (error) {
      context.session.throwIfOver();
      // While its inputs were put, or while it was still waiting for its turn.
      if (made.signal.aborted && made.inputs.any) return cancelled(params);
      if (error === made.signal.reason) return cancelled(params);
      const failure = failureOf(error, made.inputs);
      if (failure.reason === 'ENGINE_REFUSED' && tries < START_TRIES) {
        const name = params.attempt().containerName;
        context.log.warn(`${name} could not be started; trying again: ${failure.message}`);
        const words = `is started again in some seconds: ${failure.message}`;
        if (await holdUp.during(words, () => pauseForNextTry(params))) continue;
      }
      return never(params, failure.reason, failure.message);
    }
  }
}

/** Its pull may be known as the job says, or as its registry knows what others of the execution run. */
function imageWaits({ context, execution }: StartParams, known = execution.image): HoldUpWords {
  const pinned = known?.repoDigest ?? null;
  const words = imageWords([execution.spec.image, ...(pinned === null ? [] : [pinned])]);
  return (pulls) => context.images.waitWords(execution.name) ?? words(pulls);
}

function createInTurn(params: StartParams, made: Made, image: PreparedImage): Promise<Started> {
  const { context, holdUp } = params;
  const { large } = made.inputs;
  // Inputs may take hours: nothing that could start at once waits for them.
  const turns = large ? context.transfers : context.starts;
  const turn = large ? 'waits for its turn to be given its files' : 'waits for its turn to start';
  const work = large ? 'is given its files' : 'is being started by the container engine';
  return holdUp.during(turn, () =>
    inTurn(turns, made.signal, () => holdUp.during(work, () => create(params, made, image))),
  );
}

/** Why it did not start. Throws what is no reason but a bug. */
function failureOf(error: unknown, inputs: Inputs): { reason: AttemptReason; message: string } {
  const { failure } = inputs;
  if (failure !== undefined) {
    const reason = isTappetError(failure) ? INPUT_FAILURES[failure.code] : undefined;
    // What the machine says of a file (no permission, a bad disk) is of no code.
    return { reason: reason ?? 'INPUT_FAILED', message: sentence(failure) };
  }
  const reason = isTappetError(error) ? START_FAILURES[error.code] : undefined;
  if (reason === undefined) throw error;
  return { reason, message: sentence(error) };
}

/** Errors of some parts begin in the middle of a sentence. */
function sentence(error: unknown): string {
  const text = errorWithFix(error);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** false = somebody asked to stop meanwhile. Nobody waits for a permit to start meanwhile. Errors: SessionOver. */
async function pauseForNextTry(params: StartParams): Promise<boolean> {
  const { clock, session } = params.context;
  const ended = new AbortController();
  const undo = onAbort(session.signal, () => ended.abort());
  await Promise.race([pause(clock, START_PAUSE_MS, ended.signal), params.stopAsked]);
  undo();
  ended.abort();
  session.throwIfOver();
  return params.attempt().stopReason === null;
}

/**
 * A start that was refused, or given up, may have worked all the same. A container that runs, or has run, is its
 * attempt's: ended without it, the attempt would be followed by one beside it. One that never ran is removed; undefined.
 */
async function startedAfterAll(params: StartParams, asked: PreparedImage): Promise<Started | undefined> {
  const status = await params.inspect();
  if (status.state === 'created') await clearAway(params);
  if (!hasStarted(status)) return undefined;
  const found = adoptedImage(status);
  const image = found === null || found.digest === asked.digest ? asked : found;
  return { outcome: 'runs', ensured: { outcome: 'adopted', status }, image };
}

/** It never ran, so that nobody meets it at work: where it may not be removed now, maintenance does it. */
async function clearAway(params: StartParams): Promise<void> {
  const { gate, runner, log } = params.context;
  const name = params.attempt().containerName;
  try {
    await gate.through(() => runner.remove(name));
  } catch (error) {
    if (!isTappetError(error, 'ENGINE_REFUSED')) throw error;
    log.warn(`Container ${name}, which never ran, could not be removed: ${errorText(error)}`);
  }
}

const START_FAILURES: { readonly [C in ErrorCode]?: AttemptReason } = {
  IMAGE_NOT_FOUND: 'IMAGE_NOT_FOUND',
  IMAGE_UNAUTHORIZED: 'IMAGE_UNAUTHORIZED',
  IMAGE_PULL_FAILED: 'IMAGE_PULL_FAILED',
  IMAGE_RATE_LIMITED: 'IMAGE_RATE_LIMITED',
  IMAGE_DISK_FULL: 'IMAGE_DISK_FULL',
  // The account of its registry; secrets of the job itself are read elsewhere.
  SECRET_UNREADABLE: 'SECRET_UNREADABLE',
  CONTAINER_START_FAILED: 'CONTAINER_START_FAILED',
  CONTAINER_CONFLICT: 'CONTAINER_START_FAILED',
  ENGINE_REFUSED: 'ENGINE_REFUSED',
  // An input gave nothing for long, and not even an error.
  OBJECT_STORE_UNAVAILABLE: 'INPUT_FAILED',
};
/** What is not here may pass. */
const INPUT_FAILURES: { readonly [C in ErrorCode]?: AttemptReason } = {
  OBJECT_NOT_FOUND: 'INPUT_UNAVAILABLE',
  OBJECT_ACCESS_DENIED: 'INPUT_UNAVAILABLE',
  BUCKET_NOT_FOUND: 'INPUT_UNAVAILABLE',
  SECRET_UNREADABLE: 'SECRET_UNREADABLE',
};

const never = ({ context }: StartParams, reason: AttemptReason, message: string): Never => ({
  outcome: 'never',
  result: neverRan('FAILED', reason, message, context.clock.now()),
});

function cancelled(params: StartParams): Never {
  const message = `${stopWords(params.attempt().stopReason)} before it started.`;
  const result = neverRan('CANCELLED', 'CANCELLED', message, params.context.clock.now());
  return { outcome: 'never', result };
}

async function render(params: StartParams): Promise<RenderedSpec | Never> {
  const { context, execution } = params;
  const attempt = params.attempt();
  // An earlier process may have rendered it: then that is what counts.
  if (attempt.rendered !== null) return attempt.rendered;
  const key = keyOf(attempt);
  const rendering = renderSpec(execution, key, context.expressions);
  if (!rendering.ok) return never(params, 'RENDER_FAILED', rendering.message);
  const { rendered, namesTask } = rendering;
  const { session, store } = context;
  if (namesTask)
    await session.write(() => store.attemptRendered(key, session.epoch, rendered), params.holdUp);
  return rendered;
}

/** The job's whole environment; what would fail after hours of work fails here. */
async function environment(
  params: StartParams,
  rendered: RenderedSpec,
): Promise<{ readonly values: Readonly<Record<string, string>> } | Never> {
  const { context, execution } = params;
  const missing = missingConnection(rendered, context.objects);
  if (missing !== undefined) return never(params, 'OUTPUT_REFUSED', missing);
  try {
    const secrets = await secretEnvironment(execution.spec.env, context.secrets);
    const values = { ...rendered.env, ...secrets };
    const problem = secretProblem(secrets) ?? envTotalProblem(values);
    if (problem === null) return { values };
    return never(params, 'RENDER_FAILED', `The task could not be prepared: ${problem}`);
  } catch (error) {
    if (!isTappetError(error, 'SECRET_UNREADABLE')) throw error;
    return never(params, 'SECRET_UNREADABLE', sentence(error));
  }
}

function secretProblem(secrets: Readonly<Record<string, string>>): string | null {
  for (const [name, value] of Object.entries(secrets)) {
    const problem = envValueProblem(value);
    if (problem !== null) return `the secret for env.${name} ${problem}`;
  }
  return null;
}

async function create(params: StartParams, made: Made, image: PreparedImage): Promise<Started> {
  const { context } = params;
  // It may have waited long for its turn.
  if (params.attempt().stopReason !== null) return cancelled(params);
  try {
    return await ensure(params, made, image);
  } catch (error) {
    if (!isTappetError(error, 'IMAGE_NOT_FOUND')) throw error;
    // Somebody removed the image since: once more, and then it is a failure.
    const found = await params.holdUp.during(imageWaits(params, image), () =>
      context.images.again(params.execution, image),
    );
    return await ensure(params, made, found);
  }
}

async function ensure(params: StartParams, made: Made, image: PreparedImage): Promise<Started> {
  const { context, capture } = params;
  const spec = containerSpec(params, made, image.digest);
  const { gate, runner, session } = context;
  const { inputs, signal } = made;
  const mayAct = (): void => session.throwIfOver();
  const options = inputs.any ? { mayAct, files: () => inputs.files(), signal } : { mayAct };
  made.asked = image;
  context.times.startAsked(spec.name);
  // One try at a time: whether to go on is decided with the permit given back and the request to stop looked at.
  const ensured = await gate.through(
    async () => runner.ensure(spec, await capture.prepareAttach(), options),
    1,
  );
  return { outcome: 'runs', ensured, image };
}

function containerSpec(params: StartParams, { rendered, env }: Made, digest: string): ContainerSpec {
  const attempt = params.attempt();
  const { spec, job } = params.execution;
  return {
    name: attempt.containerName,
    key: keyOf(attempt),
    job,
    epoch: params.context.session.epoch,
    image: spec.image,
    digest,
    ...(spec.command === undefined ? {} : { command: spec.command }),
    ...(rendered.args === null ? {} : { args: rendered.args }),
    env: taskEnvironment(params.execution, attempt, env),
    ...(spec.workingDir === undefined ? {} : { workingDir: spec.workingDir }),
    ...(spec.user === undefined ? {} : { user: spec.user }),
    cpu: spec.cpu,
    memoryBytes: spec.memoryBytes,
    gracePeriodMs: spec.gracePeriodMs,
    binds: spec.binds,
  };
}
