import { createHash } from 'node:crypto';
import { TappetError } from '../../src/core/errors.ts';
import type { BodyReader, PinnedBody } from '../../src/core/bodies.ts';
import type { FileIdentity, LocalFile, LocalFiles } from '../../src/core/local-files.ts';
import type {
  ObjectAddress,
  ObjectBody,
  ObjectInfo,
  ObjectPage,
  Objects,
  ObjectStore,
  PutParams,
  VersionPage,
} from '../../src/core/objects.ts';
import { deferred } from '../../src/lib/deferred.ts';
import type { Deferred } from '../../src/lib/deferred.ts';
import { onAbort } from '../../src/lib/service.ts';

type Held = 'get' | 'put' | 'body';

/** One connection in memory that only gets and puts, without versions; does what a test injects. */
export class StagingStore implements ObjectStore {
  readonly name = 'store';
  /** Content by `<bucket>/<key>`. */
  readonly content = new Map<string, Buffer>();
  readonly types = new Map<string, string | undefined>();
  /** `<bucket>/<key>` of each call: of `put` those that succeeded. */
  readonly puts: string[] = [];
  readonly gets: string[] = [];
  readonly #faults: { method: 'get' | 'put'; error: Error; times: number; at: string | undefined }[] = [];
  readonly #holds = new Map<Held, Deferred<void>>();

  /** The next `times` calls fail, of all or `at` one `<bucket>/<key>`. */
  fail(method: 'get' | 'put', error: Error, times = 1, at?: string): void {
    this.#faults.push({ method, error, times, at });
  }
  /** Calls, or the bodies of `get` after their first half, wait until the returned function is called. */
  hold(what: Held): () => void {
    const gate = deferred<void>();
    this.#holds.set(what, gate);
    return () => {
      this.#holds.delete(what);
      gate.resolve();
    };
  }
  /** Puts it there as somebody else would; gives its etag. */
  seed(place: string, content: string): string {
    const bytes = Buffer.from(content);
    this.content.set(place, bytes);
    return etagOf(bytes);
  }
  text(place: string): string | undefined {
    return this.content.get(place)?.toString();
  }

  async get(
    { bucket, key, etag }: ObjectAddress & { etag?: string },
    signal?: AbortSignal,
  ): Promise<ObjectBody | null> {
    this.gets.push(`${bucket}/${key}`);
    await this.#turn('get', `${bucket}/${key}`, signal);
    const bytes = this.content.get(`${bucket}/${key}`);
    if (bytes === undefined || (etag !== undefined && etag !== etagOf(bytes))) return null;
    return { info: info(bytes), body: this.#body(bytes, signal) };
  }

  async put(
    { bucket, key }: ObjectAddress,
    body: AsyncIterable<Uint8Array>,
    { size, contentType, signal }: PutParams,
  ): Promise<ObjectInfo> {
    await this.#turn('put', `${bucket}/${key}`, signal);
    const parts: Uint8Array[] = [];
    try {
      for await (const part of body) parts.push(part);
    } catch (error) {
      // A client knows that the upload broke off, and not whose fault it was.
      throw new TappetError('OBJECT_STORE_UNAVAILABLE', 'The upload broke off.', {}, error);
    }
    const bytes = Buffer.concat(parts);
    if (size !== undefined && size !== bytes.length) throw new Error('a body of another length');
    this.content.set(`${bucket}/${key}`, bytes);
    this.types.set(`${bucket}/${key}`, contentType);
    this.puts.push(`${bucket}/${key}`);
    return info(bytes);
  }

  head(): Promise<ObjectInfo | null> {
    throw new Error('staging does not ask for it');
  }
  list(): Promise<ObjectPage> {
    throw new Error('staging does not list');
  }
  listVersions(): Promise<VersionPage> {
    throw new Error('staging does not list');
  }
  versioning(): Promise<'off'> {
    throw new Error('staging does not ask for it');
  }
  close(): void {
    this.#holds.clear();
  }

  async #turn(method: 'get' | 'put', place: string, signal: AbortSignal | undefined): Promise<void> {
    await this.#held(method, signal);
    const fault = this.#faults.find(
      ({ method: of, times, at }) => of === method && times > 0 && (at === undefined || at === place),
    );
    if (fault === undefined) return;
    fault.times -= 1;
    throw fault.error;
  }

  async #held(what: Held, signal: AbortSignal | undefined): Promise<void> {
    const gate = this.#holds.get(what);
    if (gate === undefined) return;
    const ended = deferred<void>();
    const undo = signal === undefined ? (): void => undefined : onAbort(signal, () => ended.resolve());
    await Promise.race([gate.promise, ended.promise]);
    undo();
    signal?.throwIfAborted();
  }

  async *#body(bytes: Buffer, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const middle = Math.ceil(bytes.length / 2);
    yield bytes.subarray(0, middle);
    await this.#held('body', signal);
    yield bytes.subarray(middle);
  }
}

/** The connections of a rig: `store` and no other. */
export class StagingObjects implements Objects {
  readonly store = new StagingStore();

  connection(name: string): StagingStore | undefined {
    return name === this.store.name ? this.store : undefined;
  }
}

/** Bodies by the uid of their event: what `openBody` finds there; null = of another size than was pinned. */
export class FakeBodies implements BodyReader {
  readonly files = new Map<string, string | null>();

  async openBody({ event }: PinnedBody): Promise<LocalFile | 'gone' | 'changed'> {
    const content = this.files.get(event);
    if (content === undefined) return 'gone';
    if (content === null) return 'changed';
    const bytes = Buffer.from(content);
    return { size: bytes.length, body: once(bytes) };
  }
}

/** Local files by path: what `open` finds there; null = another file than the event told of. */
export class FakeLocalFiles implements LocalFiles {
  readonly files = new Map<string, string | Error | null>();

  open({ path }: FileIdentity): Promise<LocalFile | 'gone' | 'changed'> {
    const content = this.files.get(path);
    if (content === undefined) return Promise.resolve('gone');
    if (content instanceof Error) return Promise.reject(content);
    if (content === null) return Promise.resolve('changed');
    const bytes = Buffer.from(content);
    return Promise.resolve({ size: bytes.length, body: once(bytes) });
  }
}

// eslint-disable-next-line @typescript-eslint/require-await -- a port's body is asynchronous
async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const etagOf = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const info = (bytes: Buffer): ObjectInfo => ({
  etag: etagOf(bytes),
  size: bytes.length,
  lastModified: 0,
  metadata: {},
});

export const storeAway = (): TappetError =>
  new TappetError('OBJECT_STORE_UNAVAILABLE', 'The object store of connection "store" does not answer.');
export const accessDenied = (): TappetError =>
  new TappetError('OBJECT_ACCESS_DENIED', 'Connection "store" may not use bucket "b".');
