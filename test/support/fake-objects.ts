import { createHash } from 'node:crypto';
import type { Clock } from '../../src/core/clock.ts';
import { TappetError } from '../../src/core/errors.ts';
import type {
  ListedVersion,
  ListParams,
  ObjectAddress,
  ObjectBody,
  ObjectInfo,
  ObjectPage,
  ObjectStore,
  VersionPage,
} from '../../src/core/objects.ts';

interface Kept extends ListedVersion {
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
}
type Versioning = 'off' | 'enabled' | 'suspended';
interface Bucket {
  versioning: Versioning;
  /** Newest first within a key. */
  readonly versions: Map<string, Kept[]>;
}
export type Call = 'list' | 'listVersions' | 'versioning' | 'head';

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8');

/** An object store in memory: pages of `pageSize`, versions, an order of its own, and faults where a test wants them. */
export class FakeObjects implements ObjectStore {
  readonly name: string;
  pageSize = 1000;
  /** Asked before each call; throws for a fault. Has run by the time the store is looked at. */
  before: (call: Call, bucket: string) => void | Promise<void> = () => undefined;
  /** How keys are sorted; by UTF-8 bytes as S3 does, unless a test wants a stranger one. */
  compare: (a: string, b: string) => number = (a, b) => Buffer.compare(bytes(a), bytes(b));
  readonly calls: Call[] = [];
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();
  #lastMs = 0;
  #nextVersion = 0;

  constructor(clock: Clock, name = 'store') {
    this.#clock = clock;
    this.name = name;
  }

  bucket(name: string, versioning: Versioning = 'off'): this {
    this.#buckets.set(name, { versioning, versions: this.#buckets.get(name)?.versions ?? new Map() });
    return this;
  }

  /** Stores an object at the present time (a millisecond later than the one before it), or at `ms`. */
  upload(bucket: string, key: string, content = key, ms?: number): Kept {
    const { versioning, versions } = this.#bucket(bucket);
    const lastModified = ms ?? Math.max(this.#clock.now(), this.#lastMs + 1);
    this.#lastMs = Math.max(this.#lastMs, lastModified);
    const kept: Kept = {
      key,
      etag: createHash('md5').update(content).digest('hex'),
      size: Buffer.byteLength(content),
      lastModified,
      versionId: versioning === 'enabled' ? `v${this.#nextVersion++}` : 'null',
      isLatest: true,
      deleteMarker: false,
      contentType: 'text/plain',
      metadata: { from: 'test' },
    };
    const others = (versions.get(key) ?? []).filter((one) => one.versionId !== kept.versionId);
    versions.set(key, [kept, ...others.map((one) => ({ ...one, isLatest: false }))]);
    return kept;
  }

  /** Without a version: as the bucket's versioning has it (a delete marker where it is enabled). */
  remove(bucket: string, key: string, versionId?: string): void {
    const { versioning, versions } = this.#bucket(bucket);
    if (versionId === undefined && versioning === 'enabled') {
      const marker = { ...this.upload(bucket, key), deleteMarker: true, etag: '', size: 0 };
      versions.set(key, [marker, ...(versions.get(key) ?? []).slice(1)]);
      return;
    }
    const id = versionId ?? 'null';
    const left = (versions.get(key) ?? []).filter((one) => one.versionId !== id);
    if (left.length === 0) versions.delete(key);
    else versions.set(key, left);
  }

  async versioning(bucket: string): Promise<Versioning> {
    return (await this.#call('versioning', bucket)).versioning;
  }

  async list(bucket: string, params: ListParams): Promise<ObjectPage> {
    const { versions } = await this.#call('list', bucket);
    const latest = this.#keys(versions, params).flatMap((key) => {
      const newest = versions.get(key)?.[0];
      return newest === undefined || newest.deleteMarker ? [] : [newest];
    });
    const { page, next } = this.#page(latest, params);
    return {
      objects: page.map(({ key, etag, size, lastModified }) => ({ key, etag, size, lastModified })),
      ...next,
    };
  }

  async listVersions(bucket: string, params: ListParams): Promise<VersionPage> {
    const { versions } = await this.#call('listVersions', bucket);
    const all = this.#keys(versions, params).flatMap((key) => versions.get(key) ?? []);
    const { page, next } = this.#page(all, params);
    return { versions: page, ...next };
  }

  async head({ bucket, key, versionId }: ObjectAddress): Promise<ObjectInfo | null> {
    const { versions } = await this.#call('head', bucket);
    const all = versions.get(key) ?? [];
    const found = versionId === undefined ? all[0] : all.find((one) => one.versionId === versionId);
    if (found === undefined || found.deleteMarker) return null;
    const { etag, size, lastModified, contentType, metadata } = found;
    // Whole seconds, as HTTP has them.
    return { etag, size, lastModified: lastModified - (lastModified % 1000), contentType, metadata };
  }

  async get(): Promise<ObjectBody | null> {
    throw new TypeError('not in this fake');
  }
  async put(): Promise<ObjectInfo> {
    throw new TypeError('not in this fake');
  }
  close(): void {}

  async #call(call: Call, bucket: string): Promise<Bucket> {
    this.calls.push(call);
    await this.before(call, bucket);
    return this.#bucket(bucket);
  }

  #bucket(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (bucket !== undefined) return bucket;
    throw new TappetError('BUCKET_NOT_FOUND', `the object store "${this.name}" has no bucket "${name}"`, {
      fix: 'make the bucket, or correct its name',
    });
  }

  #keys(versions: ReadonlyMap<string, unknown>, { prefix }: ListParams): string[] {
    return [...versions.keys()].filter((key) => key.startsWith(prefix)).sort(this.compare);
  }

  /** The token names the entry that the page before ended with, so that what is put meanwhile shifts nothing. */
  #page<T extends { key: string; lastModified: number; versionId: string }>(
    all: readonly T[],
    { token }: ListParams,
  ) {
    const serverTime = this.#clock.now() - (this.#clock.now() % 1000);
    const from = token === undefined ? 0 : this.#behind(all, token);
    const page = all.slice(from, from + this.pageSize);
    const last = page.at(-1);
    const more = last !== undefined && from + page.length < all.length;
    const next = more ? { next: JSON.stringify([last.key, last.versionId]) } : {};
    return { page, next: { ...next, serverTime } };
  }

  #behind(all: readonly { key: string; versionId: string }[], token: string): number {
    const [key, versionId] = JSON.parse(token) as [string, string];
    const at = all.findIndex((one) => one.key === key && one.versionId === versionId);
    if (at >= 0) return at + 1;
    const after = all.findIndex((one) => this.compare(one.key, key) >= 0);
    return after < 0 ? all.length : after;
  }
}

export const storeDown = (): never => {
  throw new TappetError('OBJECT_STORE_UNAVAILABLE', 'the object store "store" refuses the connection', {
    fix: 'start it, or check the endpoint',
  });
};

/** The body that MinIO sends of an upload. */
export function minioBody(bucket: string, kept: Kept, eventName = 's3:ObjectCreated:Put'): string {
  const { key, etag, size, lastModified, versionId } = kept;
  const sequencer = (BigInt(lastModified) * 1_000_000n + 123_456n).toString(16).toUpperCase();
  const object = {
    key: encodeURIComponent(key).replaceAll('%20', '+'),
    ...(size === 0 ? {} : { size }),
    eTag: etag,
    contentType: 'text/plain',
    userMetadata: { 'X-Amz-Meta-From': 'test', 'content-type': 'text/plain' },
    ...(versionId === 'null' ? {} : { versionId }),
    sequencer,
  };
  const record = {
    eventVersion: '2.0',
    eventSource: 'minio:s3',
    eventTime: new Date(lastModified).toISOString(),
    eventName,
    responseElements: { 'x-amz-request-id': `R${sequencer}` },
    s3: { bucket: { name: bucket }, object },
  };
  return JSON.stringify({ EventName: eventName, Key: `${bucket}/${key}`, Records: [record] });
}
