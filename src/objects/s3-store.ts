import { Readable } from 'node:stream';
import type {
  ListParams,
  ObjectAddress,
  ObjectBody,
  ObjectInfo,
  ObjectPage,
  ObjectStore,
  PutParams,
  VersionPage,
} from '../core/objects.ts';
import { bodyOf } from './body.ts';
import type { CallerOptions, CallOptions } from './caller.ts';
import { Caller } from './caller.ts';
import { mayBeInexact, withExactKeys, withExactVersionKeys } from './exact-keys.ts';
import { isAbsent, isRefusal, isUnsupported, notS3 } from './failures.ts';
import { objectsOf, unquoted, versionMarkers, versionsOf } from './listing.ts';
import { putObject } from './upload.ts';

/** The port on an S3 store, whoever made it: MinIO, SeaweedFS, Ceph, Amazon. */
export class S3ObjectStore implements ObjectStore {
  readonly name: string;
  readonly #caller: Caller;
  readonly #options: CallerOptions;

  constructor(options: CallerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#caller = new Caller(options);
  }

  list(bucket: string, params: ListParams): Promise<ObjectPage> {
    const { prefix, token, signal } = params;
    const place = this.#caller.place(bucket);
    const input = { Bucket: bucket, Prefix: prefix, ContinuationToken: token };
    return this.#caller.call({ bucket, signal }, async ({ client, sdk, signal: abortSignal, serverTime }) => {
      const output = await client.send(new sdk.ListObjectsV2Command(input), { abortSignal });
      if (mayBeInexact(output.Contents)) {
        const command = new sdk.ListObjectsV2Command({ ...input, EncodingType: 'url' });
        withExactKeys(output, await client.send(command, { abortSignal }), place);
      }
      return { ...objectsOf(output, params, place), serverTime: serverTime(output) };
    });
  }

  listVersions(bucket: string, params: ListParams): Promise<VersionPage> {
    const { prefix, token, signal } = params;
    const place = this.#caller.place(bucket);
    const input = { Bucket: bucket, Prefix: prefix, ...versionMarkers(token) };
    return this.#caller.call({ bucket, signal }, async ({ client, sdk, signal: abortSignal, serverTime }) => {
      const output = await client.send(new sdk.ListObjectVersionsCommand(input), { abortSignal });
      if (mayBeInexact(output.Versions, output.DeleteMarkers)) {
        const command = new sdk.ListObjectVersionsCommand({ ...input, EncodingType: 'url' });
        withExactVersionKeys(output, await client.send(command, { abortSignal }), place);
      }
      return { ...versionsOf(output, params, place), serverTime: serverTime(output) };
    });
  }

  async versioning(bucket: string, signal?: AbortSignal): Promise<'off' | 'enabled' | 'suspended'> {
    const options: CallOptions = { bucket, signal };
    try {
      const { Status } = await this.#caller.raw(options, ({ client, sdk, signal: abortSignal }) =>
        client.send(new sdk.GetBucketVersioningCommand({ Bucket: bucket }), { abortSignal }),
      );
      if (Status === undefined) return 'off';
      return Status === 'Enabled' ? 'enabled' : 'suspended';
    } catch (error) {
      // A store that does not know of versions has none.
      if (isUnsupported(error)) return 'off';
      throw this.#caller.worded(error, options);
    }
  }

  async head(object: ObjectAddress, signal?: AbortSignal): Promise<ObjectInfo | null> {
    const { bucket } = object;
    const options: CallOptions = { bucket, signal };
    try {
      return await this.#caller.raw(options, async ({ client, sdk, signal: abortSignal }) => {
        const output = await client.send(new sdk.HeadObjectCommand(addressOf(object)), { abortSignal });
        return this.#info(output, bucket);
      });
    } catch (error) {
      if (!isAbsent(error, object.versionId !== undefined)) throw this.#caller.worded(error, options);
      // The answer to HEAD has no text: is it the object that is missing, or the bucket?
      await this.#expectBucket(options);
      return null;
    }
  }

  async get(
    object: ObjectAddress & { readonly etag?: string },
    signal?: AbortSignal,
  ): Promise<ObjectBody | null> {
    const { bucket, key, etag } = object;
    const options: CallOptions = { bucket, signal };
    try {
      return await this.#caller.raw(options, async ({ client, sdk, signal: abortSignal }) => {
        const condition = etag === undefined ? {} : { IfMatch: `"${etag}"` };
        const command = new sdk.GetObjectCommand({ ...addressOf(object), ...condition });
        const output = await client.send(command, { abortSignal });
        if (!(output.Body instanceof Readable)) throw notS3(this.#caller.place(bucket));
        const stream: Readable = output.Body;
        const info = this.#info(output, bucket, stream);
        const place = this.#caller.place(bucket);
        return {
          info,
          body: bodyOf(stream, { clock: this.#options.clock, place, key, size: info.size, signal }),
        };
      });
    } catch (error) {
      if (isAbsent(error, object.versionId !== undefined)) return null;
      throw this.#caller.worded(error, options);
    }
  }

  put(object: ObjectAddress, body: AsyncIterable<Uint8Array>, params: PutParams): Promise<ObjectInfo> {
    const { clock, log } = this.#options;
    return putObject({ caller: this.#caller, clock, log }, object, body, params);
  }

  /** For a store that another one takes the place of: what is under way ends as it began. */
  retire(): void {
    this.#caller.retire();
  }

  close(): void {
    this.#caller.close();
  }

  async #expectBucket(options: CallOptions): Promise<void> {
    const { bucket } = options;
    try {
      await this.#caller.raw(options, ({ client, sdk, signal }) =>
        client.send(new sdk.HeadBucketCommand({ Bucket: bucket }), { abortSignal: signal }),
      );
    } catch (error) {
      // Keys that may read objects need not be allowed to ask for the bucket.
      if (isRefusal(error)) return;
      throw this.#caller.worded(error, options);
    }
  }

  #info(output: HeadFields, bucket: string, stream?: Readable): ObjectInfo {
    const { ContentLength: size, ETag: etag, LastModified: modified } = output;
    if (size === undefined || etag === undefined || modified === undefined) {
      stream?.destroy();
      throw notS3(this.#caller.place(bucket));
    }
    return {
      etag: unquoted(etag),
      size,
      lastModified: modified.getTime(),
      ...(output.VersionId === undefined ? {} : { versionId: output.VersionId }),
      ...(output.ContentType === undefined ? {} : { contentType: output.ContentType }),
      metadata: { ...output.Metadata },
    };
  }
}

/** What HEAD and GET have in common. */
interface HeadFields {
  readonly ContentLength?: number | undefined;
  readonly ETag?: string | undefined;
  readonly LastModified?: Date | undefined;
  readonly VersionId?: string | undefined;
  readonly ContentType?: string | undefined;
  readonly Metadata?: Record<string, string> | undefined;
}

function addressOf({ bucket, key, versionId }: ObjectAddress) {
  return { Bucket: bucket, Key: key, ...(versionId === undefined ? {} : { VersionId: versionId }) };
}
