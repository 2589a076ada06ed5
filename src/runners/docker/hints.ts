import type { Clock } from '../../core/clock.ts';
import { errorText } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Hint } from '../../core/runner.ts';
import type { EngineClient } from './engine-client.ts';
import { readEvent } from './engine-events.ts';
import type { Images } from './images.ts';
import { LABELS } from './container-spec.ts';

/** `died` and `remove` are Podman's words. */
const OF_CONTAINERS = ['start', 'die', 'died', 'destroy', 'remove'];
/** What may make a name stand for another image; `build`, `loadfromarchive` and `remove` are Podman's words. */
const OF_IMAGES = ['tag', 'untag', 'delete', 'pull', 'load', 'import', 'build', 'loadfromarchive', 'create'];
const EVENTS = [...OF_CONTAINERS, ...OF_IMAGES];
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;
/** An event is below 10 KiB; a longer line is dropped, as any event may be. */
const MAX_LINE = 1024 * 1024;

export interface HintDeps {
  readonly client: EngineClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly images: Images;
}

/**
 * Names of containers of `instance` that something happened to; on the way it tells `images` of images that changed. After each connect it says `reconnected`, as what happened
 * before is not replayed in full (the engine keeps 256 events). Never throws; ends with `signal`.
 */
export async function* hints(deps: HintDeps, instance: string, signal: AbortSignal): AsyncGenerator<Hint> {
  let retryMs = FIRST_RETRY_MS;
  let told = false;
  while (!signal.aborted) {
    try {
      const stream = await deps.client.events(EVENTS, signal);
      deps.images.hearing(true);
      yield { kind: 'reconnected' };
      if (told) deps.log.info('the container engine answers again', { engine: deps.client.transport.place });
      told = false;
      retryMs = FIRST_RETRY_MS;
      yield* readHints(stream, instance, deps.images);
      if (!signal.aborted) throw new Error('it ended its events');
    } catch (error) {
      if (signal.aborted) return;
      // Streams of containers that end at this moment end for the same reason: they must know.
      deps.client.transport.noteOutage();
      if (!told) deps.log.warn('the container engine is gone; waiting for it', { reason: errorText(error) });
      told = true;
    } finally {
      deps.images.hearing(false);
    }
    await sleep(deps.clock, retryMs, signal);
    retryMs = Math.min(LAST_RETRY_MS, retryMs * 2);
  }
}

/** One JSON object a line. */
async function* readHints(
  stream: AsyncIterable<unknown>,
  instance: string,
  images: Images,
): AsyncGenerator<Hint> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('the engine’s events are not bytes');
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) rest = '';
    for (const line of lines) {
      const event = readEvent(line);
      if (event?.Type === 'image') images.changed();
      const { name, [LABELS.instance]: owner } = event?.Actor?.Attributes ?? {};
      if (event?.Type === 'container' && owner === instance && name !== undefined)
        yield { kind: 'container', name };
    }
  }
}

async function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = () => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.setTimer(ms, end);
    signal.addEventListener('abort', end, { once: true });
  });
}
