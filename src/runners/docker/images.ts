import type { Clock } from '../../core/clock.ts';
import { TappetError } from '../../core/errors.ts';
import type { PreparedImage } from '../../core/runner.ts';
import { parseImageRef } from '../../lib/image-ref.ts';
import type { EngineClient } from './engine-client.ts';
import { pull, pullError } from './pull.ts';

/**
 * How long an image's id is believed without asking: a burst of tasks asks once, and nobody rebuilds a tag between
 * two runs that fast.
 */
const BELIEVED_MS = 1000;
const MAX_BELIEVED = 500;

interface Believed {
  readonly digest: string;
  readonly until: number;
}

/** Sees that images are on the engine: pulled if they are not, once at a time each. */
export class Images {
  readonly #client: EngineClient;
  readonly #clock: Clock;
  readonly #believed = new Map<string, Believed>();
  readonly #underWay = new Map<string, Promise<PreparedImage>>();

  constructor(client: EngineClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Errors: IMAGE_NOT_FOUND, IMAGE_UNAUTHORIZED, IMAGE_PULL_FAILED, ENGINE_UNAVAILABLE. */
  prepare(image: string): Promise<PreparedImage> {
    const believed = this.#believed.get(image);
    const now = this.#clock.now();
    // A clock that was set back would make an entry live long: it is dropped too.
    if (believed !== undefined && now < believed.until && believed.until - now <= BELIEVED_MS) {
      return Promise.resolve({ digest: believed.digest });
    }
    const underWay = this.#underWay.get(image);
    if (underWay !== undefined) return underWay;
    const started = this.#find(image).finally(() => this.#underWay.delete(image));
    this.#underWay.set(image, started);
    return started;
  }

  /** The engine has no such image any more. */
  forget(digest: string): void {
    for (const [image, believed] of this.#believed) {
      if (believed.digest === digest) this.#believed.delete(image);
    }
  }

  async #find(image: string): Promise<PreparedImage> {
    const ref = parseImageRef(image);
    if (ref === null) {
      const message = `"${image}" is not the name of an image; it looks like registry/name:tag.`;
      throw new TappetError('IMAGE_NOT_FOUND', message, { fix: 'Correct "image" of the job.' });
    }
    const here = await this.#client.inspectImage(image);
    if (here !== null) return this.#believe(image, here.id);
    await pull(this.#client, this.#clock, image, ref);
    const pulled = await this.#client.inspectImage(image);
    if (pulled !== null) return this.#believe(image, pulled.id);
    throw pullError(image, 'the pull ended without an error, but the image is not there', 0);
  }

  #believe(image: string, digest: string): PreparedImage {
    if (this.#believed.size >= MAX_BELIEVED) this.#believed.clear();
    this.#believed.set(image, { digest, until: this.#clock.now() + BELIEVED_MS });
    return { digest };
  }
}
