import type { Clock } from '../../core/clock.ts';
import { TappetError } from '../../core/errors.ts';
import type { PreparedImage } from '../../core/runner.ts';
import { parseImageRef } from '../../lib/image-ref.ts';
import type { EngineClient } from './engine-client.ts';
import { pull, pullError } from './pull.ts';

/**
 * How long an image's id is believed without asking, while the engine's events are not heard: a burst of tasks asks
 * once, and nobody rebuilds a tag between two runs that fast.
 */
const BELIEVED_MS = 1_000;
/** While they are heard; bounded, as there may be a way to move a tag that no event tells of. */
const BELIEVED_HEARD_MS = 60_000;
const MAX_BELIEVED = 500;

interface Believed {
  readonly digest: string;
  readonly since: number;
}

/** Sees that images are on the engine: pulled if they are not, once at a time each. */
export class Images {
  readonly #client: EngineClient;
  readonly #clock: Clock;
  readonly #believed = new Map<string, Believed>();
  readonly #underWay = new Map<string, Promise<PreparedImage>>();
  #heard = false;
  /** Counts what may have moved a tag: an answer asked for before it is used once and not kept. */
  #changes = 0;

  constructor(client: EngineClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Errors: IMAGE_NOT_FOUND, IMAGE_UNAUTHORIZED, IMAGE_PULL_FAILED, ENGINE_UNAVAILABLE. */
  prepare(image: string): Promise<PreparedImage> {
    const believed = this.#believed.get(image);
    if (believed !== undefined && this.#isFresh(believed))
      return Promise.resolve({ digest: believed.digest });
    const underWay = this.#underWay.get(image);
    if (underWay !== undefined) return underWay;
    const started: Promise<PreparedImage> = this.#find(image).finally(() => {
      if (this.#underWay.get(image) === started) this.#underWay.delete(image);
    });
    this.#underWay.set(image, started);
    return started;
  }

  /** From now on `changed` is called when the engine has changed an image; `false`: not any more. */
  hearing(heard: boolean): void {
    this.#heard = heard;
    this.changed();
  }

  /** Some name may stand for another image now. */
  changed(): void {
    this.#changes += 1;
    this.#believed.clear();
  }

  /** The engine has no such image any more. */
  forget(digest: string): void {
    for (const [image, believed] of this.#believed) {
      if (believed.digest === digest) this.#believed.delete(image);
    }
  }

  /** A clock that was set back would make an entry live long: it is not believed then. */
  #isFresh({ since }: Believed): boolean {
    const age = this.#clock.now() - since;
    return age >= 0 && age < (this.#heard ? BELIEVED_HEARD_MS : BELIEVED_MS);
  }

  async #find(image: string): Promise<PreparedImage> {
    const ref = parseImageRef(image);
    if (ref === null) {
      const message = `"${image}" is not the name of an image; it looks like registry/name:tag.`;
      throw new TappetError('IMAGE_NOT_FOUND', message, { fix: 'Correct "image" of the job.' });
    }
    const here = await this.#ask(image);
    if (here !== null) return here;
    await pull(this.#client, this.#clock, image, ref);
    const pulled = await this.#ask(image);
    if (pulled !== null) return pulled;
    throw pullError(image, 'the pull ended without an error, but the image is not there', 0);
  }

  async #ask(image: string): Promise<PreparedImage | null> {
    const changes = this.#changes;
    const found = await this.#client.inspectImage(image);
    if (found === null) return null;
    if (changes === this.#changes) {
      if (this.#believed.size >= MAX_BELIEVED) this.#believed.clear();
      this.#believed.set(image, { digest: found.id, since: this.#clock.now() });
    }
    return { digest: found.id };
  }
}
