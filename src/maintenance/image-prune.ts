import { errorText } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Runner } from '../core/runner.ts';
import type { MaintenanceStore, UnusedImage } from '../core/store.ts';
import { wholeImage } from '../lib/image-pattern.ts';

/** Looked at in one go; the rest an hour later. */
const MAX_IMAGES = 100;
/** Executions read at once: a few ms each time, however many wait. */
const PAGE = 1000;

export interface ImagePruneOptions {
  readonly store: Pick<MaintenanceStore, 'unusedImages' | 'imagesInUse' | 'imageUsed' | 'imageRemoved'>;
  readonly log: Log;
  /** null = images are never removed. */
  settings(): { readonly unusedForMs: number } | null;
  /** Images of jobs that never pull: what is gone would not come again. */
  neverPulled(): readonly string[];
  /** The engine, while this process is in charge of it. */
  runner(): Runner | undefined;
}

/**
 * Removes images that Tappet pulled itself and that nothing has used for long: no execution that has not ended, no
 * container, no other image, no job that never pulls. A crash after the removal leaves a row for an image that is not there, which the next time
 * is forgotten; a container that is created in the same moment finds its image gone, and has it pulled again.
 */
export class ImagePrune {
  readonly #options: ImagePruneOptions;

  constructor(options: ImagePruneOptions) {
    this.#options = options;
  }

  /** Gives the number of images removed. Errors: ENGINE_UNAVAILABLE, STORE_UNAVAILABLE. */
  async runOnce(signal?: AbortSignal): Promise<number> {
    const { store } = this.#options;
    const settings = this.#options.settings();
    const runner = settings === null ? undefined : this.#options.runner();
    if (settings === null || runner === undefined) return 0;
    const unused = await store.unusedImages(runner.engine, settings.unusedForMs, MAX_IMAGES);
    if (unused.length === 0) return 0;
    const needed = await this.#needed(signal);
    let removed = 0;
    for (const image of unused) {
      // It may have lost the engine meanwhile.
      if (signal?.aborted === true || this.#options.runner() !== runner) break;
      if (needed.has(image.digest) || needed.has(wholeImage(image.name)))
        await store.imageUsed(runner.engine, image.digest);
      else if (await this.#remove(runner, image)) removed += 1;
    }
    return removed;
  }

  /** Digests, and the whole names of what no container has run of yet, or no job pulls. */
  async #needed(signal: AbortSignal | undefined): Promise<ReadonlySet<string>> {
    const needed = new Set(this.#options.neverPulled().map(wholeImage));
    let cursor: string | null = null;
    do {
      const page = await this.#options.store.imagesInUse(cursor, PAGE);
      for (const { name, digest } of page.images) needed.add(digest ?? wholeImage(name));
      cursor = page.next;
    } while (cursor !== null && signal?.aborted !== true);
    return needed;
  }

  /** One that will not go does not keep the others. */
  async #remove(runner: Runner, { digest, name }: UnusedImage): Promise<boolean> {
    const { store, log } = this.#options;
    try {
      const outcome = await runner.removeImage(digest, name);
      if (outcome === 'kept') await store.imageUsed(runner.engine, digest);
      else await store.imageRemoved(runner.engine, digest);
      if (outcome === 'removed')
        log.info(`Removed the image ${name} (${digest}): nothing has used it for long.`);
      return outcome === 'removed';
    } catch (error) {
      log.warn(`The unused image ${name} could not be removed: ${errorText(error)}`);
      return false;
    }
  }
}
