import { errorText, isTappetError } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import type {
  Attempt,
  AttemptKey,
  AttemptReason,
  AttemptResult,
  Execution,
  RenderedSpec,
} from '../core/execution.ts';
import type { ContainerSpec, Ensured, PreparedImage } from '../core/runner.ts';
import { onAbort, pause } from '../lib/service.ts';
import { taskEnvironment } from './environment.ts';
import type { LifeContext } from './life-context.ts';
import type { LogCapture } from './log-capture.ts';
import { neverRan } from './outcome.ts';
import { renderSpec } from './render.ts';

/** An engine that refuses a start may be about to end or short of something: asked so often, so far apart. */
const START_TRIES = 3;
const START_PAUSE_MS = 5_000;

export interface StartParams {
  readonly context: LifeContext;
  readonly execution: Execution;
  readonly capture: LogCapture;
  /** The row as last seen; a request to stop shows in it. */
  attempt(): Attempt;
  /** Settles when somebody asks to stop. */
  readonly stopAsked: Promise<void>;
}
export type Started =
  | { readonly outcome: 'runs'; readonly ensured: Ensured; readonly imageDigest: string }
  /** The container did not run and never will. */
  | { readonly outcome: 'never'; readonly result: AttemptResult };

/**
 * From a claimed attempt to a container: render, prepare the image, create and start. Writes only what templates
 * became. May be repeated from the beginning after a crash at any place. Errors: SessionOver, and bugs.
 */
export async function startAttempt(params: StartParams): Promise<Started> {
  const { context, execution } = params;
  if (params.attempt().stopReason !== null) return cancelled(params);
  const rendered = await render(params);
  if ('outcome' in rendered) return rendered;
  for (let tries = 1; ; tries++) {
    try {
      const image = await Promise.race([prepare(context, execution.spec.image), params.stopAsked]);
      if (image === undefined) return cancelled(params);
      return await context.starts.run(() => create(params, rendered, image));
    } catch (error) {
      const reason = isTappetError(error) ? START_FAILURES[error.code] : undefined;
      if (reason === undefined || !isTappetError(error)) throw error;
      if (reason === 'ENGINE_REFUSED' && tries < START_TRIES && (await pauseForNextTry(params))) continue;
      if (reason === 'ENGINE_REFUSED') await clearAway(params);
      if (params.attempt().stopReason !== null) return cancelled(params);
      return { outcome: 'never', result: neverRan('FAILED', reason, error.message, context.clock.now()) };
    }
  }
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

/** A refused start may have left a container, even one that runs: the next attempt must not meet it at work. */
async function clearAway(params: StartParams): Promise<void> {
  const { gate, runner, log } = params.context;
  const name = params.attempt().containerName;
  try {
    await gate.through(() => runner.remove(name));
  } catch (error) {
    if (!isTappetError(error, 'ENGINE_REFUSED')) throw error;
    log.warn(`Container ${name}, which was not to be started, could not be removed: ${errorText(error)}`);
  }
}

const START_FAILURES: { readonly [C in ErrorCode]?: AttemptReason } = {
  IMAGE_NOT_FOUND: 'IMAGE_NOT_FOUND',
  IMAGE_UNAUTHORIZED: 'IMAGE_UNAUTHORIZED',
  IMAGE_PULL_FAILED: 'IMAGE_PULL_FAILED',
  CONTAINER_START_FAILED: 'CONTAINER_START_FAILED',
  CONTAINER_CONFLICT: 'CONTAINER_START_FAILED',
  ENGINE_REFUSED: 'ENGINE_REFUSED',
};

function cancelled({ context }: StartParams): Started {
  const result = neverRan('CANCELLED', 'CANCELLED', 'Cancelled before it started.', context.clock.now());
  return { outcome: 'never', result };
}

const keyOf = ({ execution, index, attempt }: Attempt): AttemptKey => ({ execution, index, attempt });

async function render(params: StartParams): Promise<RenderedSpec | Started> {
  const { context, execution } = params;
  const attempt = params.attempt();
  // An earlier process may have rendered it: then that is what counts.
  if (attempt.rendered !== null) return attempt.rendered;
  const key = keyOf(attempt);
  const rendering = renderSpec(execution, key, context.expressions);
  if (!rendering.ok) {
    const result = neverRan('FAILED', 'RENDER_FAILED', rendering.message, context.clock.now());
    return { outcome: 'never', result };
  }
  const { rendered, namesTask } = rendering;
  const { session, store } = context;
  if (namesTask) await session.write(() => store.attemptRendered(key, session.epoch, rendered));
  return rendered;
}

const prepare = (context: LifeContext, image: string): Promise<PreparedImage> =>
  context.gate.through(() => context.runner.prepare(image));

async function create(params: StartParams, rendered: RenderedSpec, image: PreparedImage): Promise<Started> {
  const { context } = params;
  // It may have waited long for its turn.
  if (params.attempt().stopReason !== null) return cancelled(params);
  try {
    return await ensure(params, rendered, image.digest);
  } catch (error) {
    if (!isTappetError(error, 'IMAGE_NOT_FOUND')) throw error;
    // Somebody removed the image since: once more, and then it is a failure.
    const again = await prepare(context, params.execution.spec.image);
    return await ensure(params, rendered, again.digest);
  }
}

async function ensure(params: StartParams, rendered: RenderedSpec, digest: string): Promise<Started> {
  const { context, capture } = params;
  const spec = containerSpec(params, rendered, digest);
  const { gate, runner, session } = context;
  const mayAct = (): void => session.throwIfOver();
  // One try at a time: whether to go on is decided with the permit given back and the request to stop looked at.
  const ensured = await gate.through(
    async () => runner.ensure(spec, await capture.prepareAttach(), mayAct),
    1,
  );
  return { outcome: 'runs', ensured, imageDigest: digest };
}

function containerSpec(params: StartParams, rendered: RenderedSpec, digest: string): ContainerSpec {
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
    env: taskEnvironment(params.execution, attempt, rendered.env),
    ...(spec.workingDir === undefined ? {} : { workingDir: spec.workingDir }),
    ...(spec.user === undefined ? {} : { user: spec.user }),
    cpu: spec.cpu,
    memoryBytes: spec.memoryBytes,
    gracePeriodMs: spec.gracePeriodMs,
    binds: spec.binds,
  };
}
