import { Readable } from 'node:stream';
import type { CompletedPart } from '@aws-sdk/client-s3';
import { TappetError, errorText } from '../core/errors.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { ObjectAddress, ObjectInfo, PutParams } from '../core/objects.ts';
import { STALL_MS } from './body.ts';
import type { Caller, CallOptions } from './caller.ts';
import { isConnectionTrouble, unavailable } from './failures.ts';
import { unquoted } from './listing.ts';

const MIB = 1024 * 1024;
/** Held in memory and sent again after a hiccup. Of the same size within an upload: some stores insist. */
const PART_BYTES = 8 * MIB;
/** Up to here a body of known length is held whole: what most jobs write survives a hiccup of the store. */
const SMALL_BYTES = MIB;
/** S3's own limits: of one request, and of the parts of one object. */
const ONE_REQUEST_BYTES = 5 * 1024 * MIB;
const MAX_PARTS = 10_000;
/** For a part, and for the store to put the parts together: 8 MiB at 28 KiB/s. */
const PART_MS = 300_000;

export interface UploadTools {
  readonly caller: Caller;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Where a put can stop, and what is there then:
 *   reading the body fails, any part or the stream is refused  → the object as it was before; parts are taken back
 *   the answer to the very last request is lost                → perhaps the new object, whole; never half of one
 *   this process dies between parts                            → parts without an object: the store's own rule
 *                                                                for unfinished uploads clears them
 */
export function putObject(
  tools: UploadTools,
  object: ObjectAddress,
  body: AsyncIterable<Uint8Array>,
  params: PutParams,
): Promise<ObjectInfo> {
  const { size } = params;
  const exact = exactly(body, size, object);
  const streams = size !== undefined && size > SMALL_BYTES && size <= ONE_REQUEST_BYTES;
  return streams
    ? putStream(tools, object, exact, { ...params, size })
    : putParts(tools, object, exact, params);
}

// ---- one request ----------------------------------------------------------------------------------------------------

async function putStream(
  { caller, clock }: UploadTools,
  object: ObjectAddress,
  body: AsyncGenerator<Uint8Array, void, void>,
  params: PutParams & { readonly size: number },
): Promise<ObjectInfo> {
  const controller = new AbortController();
  const signal =
    params.signal === undefined ? controller.signal : AbortSignal.any([params.signal, controller.signal]);
  const place = caller.place(object.bucket);
  const stall = (): void => {
    const text = `took nothing of "${object.key}" for ${STALL_MS / 1000} s in the bucket "${object.bucket}"`;
    controller.abort(unavailable(place, text, 'is the store overloaded?'));
  };
  let cancel: () => void = () => undefined;
  const stream = Readable.from(
    watched(body, {
      // The time while the store takes a chunk counts, that while the body makes the next one does not.
      given: () => (cancel = clock.setTimer(STALL_MS, stall)),
      taken: () => cancel(),
      failed: (error) => controller.abort(error),
    }),
    { objectMode: false, highWaterMark: 256 * 1024 },
  );
  stream.on('error', () => undefined);
  const options: CallOptions = { bucket: object.bucket, signal, deadlineMs: NO_DEADLINE_MS, once: true };
  try {
    return await caller.raw(options, async ({ client, sdk, signal: abortSignal, serverTime }) => {
      const command = new sdk.PutObjectCommand({
        Bucket: object.bucket,
        Key: object.key,
        Body: stream,
        ContentLength: params.size,
        ContentType: params.contentType,
      });
      const output = await client.send(command, { abortSignal });
      return infoOf(output, params, params.size, serverTime(output));
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw isConnectionTrouble(error)
      ? await reasonOfHangUp(caller, options, error)
      : caller.worded(error, options);
  } finally {
    cancel();
    stream.destroy();
  }
}

/** A stream is watched chunk by chunk; this only keeps `raw` from adding its own end. (Timers take 32 bits.) */
const NO_DEADLINE_MS = 2 ** 31 - 1;

interface Watch {
  given(): void;
  taken(): void;
  failed(error: unknown): void;
}

async function* watched(
  body: AsyncGenerator<Uint8Array, void, void>,
  watch: Watch,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    for await (const chunk of body) {
      watch.given();
      yield chunk;
      watch.taken();
    }
    watch.given();
  } catch (error) {
    // The request would wait for the rest for ever.
    watch.failed(error);
  }
}

/**
 * A store that refuses may hang up in the middle of the body, and its answer is lost; asking without a body tells
 * wrong keys and a missing bucket from a network that broke.
 */
async function reasonOfHangUp(caller: Caller, options: CallOptions, error: unknown): Promise<unknown> {
  const { bucket } = options;
  try {
    await caller.call({ bucket }, ({ client, sdk, signal }) =>
      client.send(new sdk.HeadBucketCommand({ Bucket: bucket }), { abortSignal: signal }),
    );
  } catch (reason) {
    return reason;
  }
  return caller.worded(error, options);
}

// ---- parts ----------------------------------------------------------------------------------------------------------

async function putParts(
  tools: UploadTools,
  object: ObjectAddress,
  body: AsyncIterable<Uint8Array>,
  params: PutParams,
): Promise<ObjectInfo> {
  const partBytes = Math.max(PART_BYTES, Math.ceil((params.size ?? 0) / MAX_PARTS));
  const parts = gather(body, partBytes);
  try {
    const first = await parts.next();
    const start = first.done === true ? { data: Buffer.alloc(0), last: true } : first.value;
    if (start.last) return await putWhole(tools, object, start.data, params);
    return await new PartedUpload(tools, object, params).run(start.data, parts);
  } finally {
    // A body that was not read to its end must hear that nobody will.
    await parts.return();
  }
}

function putWhole(
  { caller }: UploadTools,
  object: ObjectAddress,
  data: Buffer,
  params: PutParams,
): Promise<ObjectInfo> {
  return caller.call(
    { bucket: object.bucket, signal: params.signal, deadlineMs: PART_MS },
    async ({ client, sdk, signal, serverTime }) => {
      const command = new sdk.PutObjectCommand({
        Bucket: object.bucket,
        Key: object.key,
        Body: data,
        ContentLength: data.byteLength,
        ContentType: params.contentType,
      });
      const output = await client.send(command, { abortSignal: signal });
      return infoOf(output, params, data.byteLength, serverTime(output));
    },
  );
}

interface Part {
  readonly data: Buffer;
  readonly last: boolean;
}

class PartedUpload {
  readonly #tools: UploadTools;
  readonly #target: { readonly Bucket: string; readonly Key: string };
  readonly #params: PutParams;
  readonly #parts: CompletedPart[] = [];
  #size = 0;

  constructor(tools: UploadTools, object: ObjectAddress, params: PutParams) {
    this.#tools = tools;
    this.#target = { Bucket: object.bucket, Key: object.key };
    this.#params = params;
  }

  get #options(): CallOptions {
    return { bucket: this.#target.Bucket, signal: this.#params.signal, deadlineMs: PART_MS };
  }

  async run(first: Buffer, rest: AsyncGenerator<Part, void, void>): Promise<ObjectInfo> {
    const uploadId = await this.#begin();
    // One part is on its way while the next is gathered: two are in memory.
    let sending = this.#send(uploadId, first);
    try {
      for (;;) {
        // It is awaited after the next part, which may take its time, or never come.
        sending.catch(() => undefined);
        const next = await rest.next();
        await sending;
        if (next.done === true) break;
        sending = this.#send(uploadId, next.value.data);
      }
      return await this.#complete(uploadId);
    } catch (error) {
      // A part that arrives after the upload was taken back would stay.
      await sending.catch(() => undefined);
      await this.#takeBack(uploadId);
      throw error;
    }
  }

  async #begin(): Promise<string> {
    const { UploadId } = await this.#tools.caller.call(this.#options, ({ client, sdk, signal }) =>
      client.send(
        new sdk.CreateMultipartUploadCommand({ ...this.#target, ContentType: this.#params.contentType }),
        { abortSignal: signal },
      ),
    );
    return UploadId ?? '';
  }

  async #send(uploadId: string, data: Buffer): Promise<void> {
    this.#size += data.byteLength;
    const part = { UploadId: uploadId, PartNumber: this.#parts.length + 1 };
    if (part.PartNumber > MAX_PARTS) throw tooLong(this.#target.Key);
    const entry: CompletedPart = { PartNumber: part.PartNumber };
    this.#parts.push(entry);
    const { ETag } = await this.#tools.caller.call(this.#options, ({ client, sdk, signal }) =>
      client.send(
        new sdk.UploadPartCommand({ ...this.#target, ...part, Body: data, ContentLength: data.byteLength }),
        { abortSignal: signal },
      ),
    );
    entry.ETag = ETag;
  }

  #complete(uploadId: string): Promise<ObjectInfo> {
    return this.#tools.caller.call(this.#options, async ({ client, sdk, signal, serverTime }) => {
      const command = new sdk.CompleteMultipartUploadCommand({
        ...this.#target,
        UploadId: uploadId,
        MultipartUpload: { Parts: this.#parts },
      });
      const output = await client.send(command, { abortSignal: signal });
      return infoOf(output, this.#params, this.#size, serverTime(output));
    });
  }

  async #takeBack(uploadId: string): Promise<void> {
    const { caller, log } = this.#tools;
    try {
      await caller.call({ bucket: this.#target.Bucket }, ({ client, sdk, signal }) =>
        client.send(new sdk.AbortMultipartUploadCommand({ ...this.#target, UploadId: uploadId }), {
          abortSignal: signal,
        }),
      );
    } catch (error) {
      log.warn('parts of an upload that failed stay in the bucket until the store clears them', {
        ...caller.place(this.#target.Bucket),
        key: this.#target.Key,
        error: errorText(error),
      });
    }
  }
}

/** Buffers of exactly `bytes` each, the last one shorter; an empty body is none. */
async function* gather(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Part, void, void> {
  let held: Uint8Array[] = [];
  let size = 0;
  for await (let chunk of body) {
    while (size + chunk.byteLength > bytes) {
      const room = bytes - size;
      yield { data: Buffer.concat([...held, chunk.subarray(0, room)]), last: false };
      held = [];
      size = 0;
      chunk = chunk.subarray(room);
    }
    held.push(chunk);
    size += chunk.byteLength;
  }
  if (size > 0) yield { data: Buffer.concat(held), last: true };
}

// ---- both -----------------------------------------------------------------------------------------------------------

/**
 * The body, of exactly `size` bytes where that is known. Its last chunk is held back until the end is seen: once the
 * announced bytes are sent the store has an object, and a longer body could not be refused any more.
 */
async function* exactly(
  body: AsyncIterable<Uint8Array>,
  size: number | undefined,
  { key }: ObjectAddress,
): AsyncGenerator<Uint8Array, void, void> {
  let seen = 0;
  let held: Uint8Array | undefined;
  for await (const chunk of body) {
    if (chunk.byteLength === 0) continue;
    seen += chunk.byteLength;
    if (size !== undefined && seen > size) throw wrongLength(key, size, 'there is more');
    if (held !== undefined) yield held;
    held = chunk;
  }
  if (size !== undefined && seen !== size) throw wrongLength(key, size, `it ends after ${seen}`);
  if (held !== undefined) yield held;
}

function wrongLength(key: string, size: number, found: string): TappetError {
  const message = `the content for "${key}" was announced with ${size} bytes, but ${found}; nothing was stored`;
  return new TappetError('INVALID_ARGUMENT', message, { fix: 'let nothing change it while it is uploaded' });
}

function tooLong(key: string): TappetError {
  const message = `the content for "${key}" is longer than ${(PART_BYTES / MIB) * MAX_PARTS} MiB, and its length was not known before`;
  return new TappetError('INVALID_ARGUMENT', message, { fix: 'split it into several objects' });
}

function infoOf(
  output: { readonly ETag?: string | undefined; readonly VersionId?: string | undefined },
  params: PutParams,
  size: number,
  time: number,
): ObjectInfo {
  return {
    etag: unquoted(output.ETag ?? ''),
    size,
    lastModified: time,
    ...(output.VersionId === undefined ? {} : { versionId: output.VersionId }),
    ...(params.contentType === undefined ? {} : { contentType: params.contentType }),
    metadata: {},
  };
}
