import type { Execution, PinnedImage } from '../core/execution.ts';
import type { PreparedImage, Runner } from '../core/runner.ts';
import type { ExecutorStore } from '../core/store.ts';
import { deferred } from '../lib/deferred.ts';
import type { Deferred } from '../lib/deferred.ts';
import type { EngineGate } from './engine-gate.ts';
import { HoldUp } from './hold-up.ts';
import type { Session } from './session.ts';

export interface ExecutionImagesOptions {
  readonly runner: Runner;
  readonly gate: EngineGate;
  readonly session: Session;
  readonly store: Pick<ExecutorStore, 'imagePulled'>;
}

interface Entry {
  /** Attempts that live. */
  holders: number;
  /** Of these, attempts of an earlier session whose container nobody has looked at yet. */
  unseen: number;
  /** A container of it has started, so that no other image may run. */
  ran: boolean;
  image: Promise<PreparedImage> | undefined;
  /** Of what is done with its image. */
  readonly holdUp: HoldUp;
  /** Settles when none is unseen any more. */
  seen: Deferred<void>;
}

export interface ImageHold {
  /** What the attempt's container is has been seen, and `runs` called where it has run. */
  seen(): void;
  /** The attempt has ended. */
  end(): void;
}

/**
 * One image for all attempts of an execution, whatever its name stands for meanwhile. It is stored with the first start
 * of a container (`attemptStarted`), which costs no write of its own; until then it is here:
 *
 * | a crash                         | leaves                        | who goes on                                     |
 * |---------------------------------|-------------------------------|-------------------------------------------------|
 * | while it is pulled              | part of it on the engine      | asks anew: nothing has run yet                  |
 * | pulled, `imagePulled` not stored| an image that is never pruned | the same                                        |
 * | prepared, or created            | at most a container that has  | asks anew; such a container is made again where |
 * |                                 | not run                       | the name stands for another image by now        |
 * | started, its start not stored   | a container that runs or ended| adoption stores its start, and what it was made |
 * |                                 |                               | of, by the engine's own word; its siblings wait |
 * |                                 |                               | for that, and run the same                      |
 * | its start stored                | the image in the row          | asks for exactly that image                     |
 *
 * An entry lives as long as an attempt of its execution does, and so until the start is stored: what is claimed later
 * has it in its row.
 */
export class ExecutionImages {
  readonly #options: ExecutionImagesOptions;
  /** By the execution's name. */
  readonly #entries = new Map<string, Entry>();

  constructor(options: ExecutionImagesOptions) {
    this.#options = options;
  }

  /** An attempt begins, or one of an earlier session (`resumed`) goes on, whose container may have run already. */
  hold(execution: string, resumed: boolean): ImageHold {
    const entry = this.#entries.get(execution) ?? newEntry();
    this.#entries.set(execution, entry);
    entry.holders += 1;
    let unseen = resumed;
    if (unseen && entry.unseen === 0) entry.seen = deferred();
    if (unseen) entry.unseen += 1;
    const seen = (): void => {
      if (!unseen) return;
      unseen = false;
      entry.unseen -= 1;
      if (entry.unseen === 0) entry.seen.resolve();
    };
    const end = (): void => {
      seen();
      entry.holders -= 1;
      if (entry.holders === 0) this.#entries.delete(execution);
    };
    return { seen, end };
  }

  /** A container of the execution has started. null = the engine does not tell of what. */
  runs(execution: string, image: PreparedImage | null): void {
    const entry = this.#entries.get(execution);
    if (entry === undefined || image === null) return;
    entry.ran = true;
    entry.image ??= Promise.resolve(image);
  }

  /** Beside its pull: null = nothing else keeps it. */
  waitWords(execution: string): string | null {
    return this.#entries.get(execution)?.holdUp.words([]) ?? null;
  }

  /** The image that the execution runs, on the engine. Errors: those of the runner's `prepare` but ENGINE_UNAVAILABLE; SessionOver. */
  async prepare(execution: Execution): Promise<PreparedImage> {
    const entry = this.#entry(execution);
    // One of them may run already, and of another image than the name stands for by now.
    while (execution.image === null && entry.unseen > 0) await entry.seen.promise;
    const known = entry.image;
    if (known === undefined) return this.#ask(entry, execution, execution.image ?? undefined);
    // The bytes count for the attempt that asked first.
    return { ...(await known), pulledBytes: null };
  }

  /** The engine does not have `gone` any more. */
  async again(execution: Execution, gone: PinnedImage): Promise<PreparedImage> {
    const entry = this.#entry(execution);
    const asked = entry.image;
    const known = await asked;
    // Another attempt has asked again meanwhile.
    if (known !== undefined && known.digest !== gone.digest) return { ...known, pulledBytes: null };
    // Where this is the only attempt so far, nothing has run: the name may stand for another image.
    const free = execution.image === null && !entry.ran && entry.holders === 1;
    const { digest, repoDigest } = gone;
    return this.#ask(entry, execution, free ? undefined : { digest, repoDigest });
  }

  #entry({ name }: Execution): Entry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new TypeError(`nobody holds the image of ${name}`);
    return entry;
  }

  #ask(entry: Entry, execution: Execution, pinned: PinnedImage | undefined): Promise<PreparedImage> {
    const asked = this.#prepare(execution, pinned, entry.holdUp);
    entry.image = asked;
    // What failed is asked for anew by the next attempt.
    asked.catch(() => {
      if (entry.image === asked) entry.image = undefined;
    });
    return asked;
  }

  async #prepare(
    { spec }: Execution,
    pinned: PinnedImage | undefined,
    holdUp: HoldUp,
  ): Promise<PreparedImage> {
    const { runner, gate, session, store } = this.#options;
    const options = {
      ...(spec.pullPolicy === undefined ? {} : { pullPolicy: spec.pullPolicy }),
      ...(pinned === undefined ? {} : { pinned }),
    };
    const image = await gate.through(() => runner.prepare(spec.image, options));
    if (image.pulledBytes !== null) {
      const { engine } = runner;
      const { epoch } = session;
      const { digest } = image;
      const pulled = { engine, epoch, digest, name: spec.image };
      await session.write(() => store.imagePulled(pulled), holdUp);
    }
    return image;
  }
}

const newEntry = (): Entry => ({
  holdUp: new HoldUp(),
  holders: 0,
  unseen: 0,
  ran: false,
  image: undefined,
  seen: deferred(),
});
