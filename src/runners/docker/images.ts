import type { Clock } from '../../core/clock.ts';
import { TappetError, errorText, isTappetError } from '../../core/errors.ts';
import type { PinnedImage } from '../../core/execution.ts';
import type { Log } from '../../core/log.ts';
import type { PrepareOptions, PreparedImage, PullProgress } from '../../core/runner.ts';
import { registryOf, wholeName } from '../../lib/image-pattern.ts';
import { parseImageRef } from '../../lib/image-ref.ts';
import type { ImageRef } from '../../lib/image-ref.ts';
import type { EngineClient, EngineImage } from './engine-client.ts';
import { pullFailure } from './pull-failure.ts';
import { Pulls } from './pull.ts';
import type { PullsDeps } from './pull.ts';

/**
 * How long an image's id is believed without asking, while the engine's events are not heard: a burst of tasks asks
 * once, and nobody rebuilds a tag between two runs that fast.
 */
const BELIEVED_MS = 1_000;
/** While they are heard; bounded, as there may be a way to move a tag that no event tells of. */
const BELIEVED_HEARD_MS = 60_000;
/** `latest` is asked for at its registry so often at most, unless the job says `Always`: registries count pulls. */
const REFRESH_MS = 60_000;
const MAX_REMEMBERED = 500;

/** What a registry that cannot help says: what is there then runs, where the job did not say `Always`. */
const CANNOT_HELP = [
  'IMAGE_NOT_FOUND',
  'IMAGE_UNAUTHORIZED',
  'IMAGE_RATE_LIMITED',
  'IMAGE_DISK_FULL',
  'IMAGE_PULL_FAILED',
  'SECRET_UNREADABLE',
] as const;

export interface ImagesDeps extends PullsDeps {
  readonly log: Log;
}

/** `refresh`: the newest that can be had, which is the default of `latest`. */
type Policy = 'IfNotPresent' | 'Always' | 'Never' | 'refresh';

interface Wanted {
  readonly image: string;
  readonly ref: ImageRef;
  readonly policy: Policy;
}

/** Sees that images are on the engine, as `PullPolicy` says; each question once at a time. */
export class Images {
  readonly #client: EngineClient;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #pulls: Pulls;
  readonly #believed = new Remembered<PinnedImage>();
  /** When the registry was last asked for a name that is refreshed. */
  readonly #refreshed = new Remembered<null>();
  readonly #underWay = new Map<string, Promise<PreparedImage>>();
  #heard = false;
  /** Counts what may have moved a tag: an answer asked for before it is used once and not kept. */
  #changes = 0;

  constructor(deps: ImagesDeps) {
    this.#client = deps.client;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#pulls = new Pulls(deps);
  }

  /** Errors: IMAGE_*, SECRET_UNREADABLE (of the registry's account), ENGINE_UNAVAILABLE, ENGINE_REFUSED. */
  prepare(image: string, { pullPolicy, pinned }: PrepareOptions = {}): Promise<PreparedImage> {
    if (pinned !== undefined)
      return this.#once(pinnedKey(image, pinned, pullPolicy), () => this.#again(image, pinned, pullPolicy));
    const ref = parseImageRef(image);
    if (ref === null) {
      const message = `"${image}" is not the name of an image; it looks like registry/name:tag.`;
      return Promise.reject(
        new TappetError('IMAGE_NOT_FOUND', message, { fix: 'Correct "image" of the job.' }),
      );
    }
    const policy = policyOf(image, ref, pullPolicy);
    const believed = policy === 'Always' ? undefined : this.#believe(image);
    if (believed !== undefined) return Promise.resolve({ ...believed, pulledBytes: null });
    return this.#once(`${policy} ${image}`, () => this.#find({ image, ref, policy }));
  }

  progress(): PullProgress[] {
    return this.#pulls.progress();
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
    this.#believed.drop((believed) => believed.digest === digest);
  }

  #once(key: string, find: () => Promise<PreparedImage>): Promise<PreparedImage> {
    const underWay = this.#underWay.get(key);
    // The bytes came once, and count for who asked first.
    if (underWay !== undefined) return underWay.then((image) => ({ ...image, pulledBytes: null }));
    const started: Promise<PreparedImage> = find().finally(() => {
      if (this.#underWay.get(key) === started) this.#underWay.delete(key);
    });
    this.#underWay.set(key, started);
    return started;
  }

  #believe(name: string): PinnedImage | undefined {
    return this.#believed.within(name, this.#heard ? BELIEVED_HEARD_MS : BELIEVED_MS, this.#clock.now());
  }

  async #find({ image, ref, policy }: Wanted): Promise<PreparedImage> {
    const here = await this.#ask(image, ref.repository);
    if (here !== null && !this.#mustAsk({ image, ref, policy }, here)) return { ...here, pulledBytes: null };
    if (policy === 'Never') throw neverPulled(image);
    try {
      return await this.#pull(image, ref, here);
    } catch (error) {
      if (here === null || policy !== 'refresh' || !CANNOT_HELP.some((code) => isTappetError(error, code)))
        throw error;
      this.#log.warn(
        `The registry ${registryOf(ref.repository)} could not be asked for a newer "${image}"; what the engine has runs: ${errorText(error)}`,
      );
      return { ...here, pulledBytes: null };
    } finally {
      this.#refreshed.set(image, null, this.#clock.now());
    }
  }

  /** Whether what is there is not enough. What no registry is known for was built or loaded here. */
  #mustAsk({ image, policy }: Wanted, here: PinnedImage): boolean {
    if (policy === 'Always') return true;
    if (policy !== 'refresh' || here.repoDigest === null) return false;
    return this.#refreshed.within(image, REFRESH_MS, this.#clock.now()) === undefined;
  }

  async #pull(image: string, ref: ImageRef, before: PinnedImage | null): Promise<PreparedImage> {
    const bytes = await this.#pulls.pull(image, ref);
    const pulled = await this.#ask(image, ref.repository);
    if (pulled !== null) return { ...pulled, pulledBytes: pulled.digest === before?.digest ? null : bytes };
    const attempt = { image, host: registryOf(ref.repository), withAccount: false };
    throw pullFailure(attempt, 'the pull ended without an error, but the image is not there', 0);
  }

  /** Exactly the image that an earlier attempt ran. */
  async #again(
    image: string,
    pinned: PinnedImage,
    pullPolicy: PrepareOptions['pullPolicy'],
  ): Promise<PreparedImage> {
    const believed = this.#believe(pinned.digest);
    if (believed !== undefined) return { ...believed, pulledBytes: null };
    const repository = parseImageRef(image)?.repository ?? '';
    const here = await this.#ask(pinned.digest, repository);
    if (here !== null)
      return { ...here, repoDigest: here.repoDigest ?? pinned.repoDigest, pulledBytes: null };
    const ref = pinned.repoDigest === null ? null : parseImageRef(pinned.repoDigest);
    if (ref === null || pinned.repoDigest === null) throw pinnedGone(image, pinned);
    // The registry's digest is of the content; another engine, or its next version, may call that by another id.
    const same = await this.#ask(pinned.repoDigest, repository);
    if (same !== null) return { ...same, pulledBytes: null };
    if (pullPolicy === 'Never') throw pinnedGone(image, pinned);
    return this.#pull(pinned.repoDigest, ref, null);
  }

  /** What the engine has under this name or id; `repository` is whose digest is wanted with it. */
  async #ask(name: string, repository: string): Promise<PinnedImage | null> {
    const changes = this.#changes;
    const found = await this.#client.inspectImage(askedAs(name));
    if (found === null) return null;
    const image = { digest: found.id, repoDigest: repoDigestOf(found, repository) };
    if (changes === this.#changes) this.#believed.set(name, image, this.#clock.now());
    return image;
  }
}

function policyOf(image: string, ref: ImageRef, asked: PrepareOptions['pullPolicy']): Policy {
  // A digest stands for one image for ever.
  if (image.includes('@') && asked !== 'Never') return 'IfNotPresent';
  return asked ?? (ref.tag === 'latest' ? 'refresh' : 'IfNotPresent');
}

/** Not for all that ask for the digest: whether, and by what name, it may be pulled again differs. */
function pinnedKey(image: string, { digest, repoDigest }: PinnedImage, policy: string = ''): string {
  return `= ${policy} ${image} ${digest} ${repoDigest ?? ''}`;
}

const FULL_ID = /^[0-9a-f]{64}$/;

/** An engine takes a bare name that looks like the beginning of an id for that image; with a tag it is a name. */
function askedAs(name: string): string {
  const isBare = !/[:@]/.test(name.slice(name.lastIndexOf('/') + 1));
  return isBare && !FULL_ID.test(name) ? `${name}:latest` : name;
}

function repoDigestOf({ repoDigests }: EngineImage, repository: string): string | null {
  if (repository === '') return null;
  const wanted = `${wholeName(repository)}@`;
  const own = repoDigests.find((one) => `${wholeName(one.slice(0, one.indexOf('@')))}@` === wanted);
  return own ?? null;
}

function neverPulled(image: string): TappetError {
  return new TappetError(
    'IMAGE_NOT_FOUND',
    `The image "${image}" is not on the engine, and "pullPolicy" of the job is Never.`,
    { fix: 'Build or load it there (docker build, docker load), or set "pullPolicy" to IfNotPresent.' },
  );
}

function pinnedGone(image: string, { digest }: PinnedImage): TappetError {
  return new TappetError(
    'IMAGE_NOT_FOUND',
    `The image that this execution runs ("${image}", ${digest}) was removed from the engine and cannot be had again.`,
    { fix: 'Run the job anew: a new execution takes the image that the name stands for now.' },
  );
}

/** By name, with the time; a clock that was set back would make an entry live long, so it is not believed then. */
class Remembered<T> {
  readonly #entries = new Map<string, { readonly value: T; readonly since: number }>();

  set(name: string, value: T, now: number): void {
    if (this.#entries.size >= MAX_REMEMBERED) this.#entries.clear();
    this.#entries.set(name, { value, since: now });
  }

  within(name: string, ms: number, now: number): T | undefined {
    const entry = this.#entries.get(name);
    const age = entry === undefined ? -1 : now - entry.since;
    return age >= 0 && age < ms ? entry?.value : undefined;
  }

  drop(where: (value: T) => boolean): void {
    for (const [name, { value }] of this.#entries) if (where(value)) this.#entries.delete(name);
  }

  clear(): void {
    this.#entries.clear();
  }
}
