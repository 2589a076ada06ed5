import { createHash } from 'node:crypto';
import type { CloudEvent } from '../../src/core/event.ts';
import type { JsonObject } from '../../src/core/json.ts';

/** Google's names, so that what reads their events reads ours. */
export const FINALIZED = 'google.cloud.storage.object.v1.finalized';
const DELETED = 'google.cloud.storage.object.v1.deleted';
const METADATA_UPDATED = 'google.cloud.storage.object.v1.metadataUpdated';
/** A notification of something else that the store can tell of (an access, a replication). */
const OTHER = 'dev.tappet.storage.other';
/** A body from an authenticated sender that could not be read. */
export const UNREADABLE = 'dev.tappet.storage.unreadable';

/** One object version that has been stored completely, as a listing and a notification both tell it. */
export interface Upload {
  readonly bucket: string;
  readonly key: string;
  /** null = written without versioning; `null` and '' of the wire are this too. */
  readonly versionId: string | null;
  /** Without quotes. */
  readonly etag: string;
  readonly size: number;
  /** Last modification by the store's clock, epoch ms. */
  readonly ms: number;
  /** Absent where nobody could be asked. */
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Something else that a notification told of an object, or an upload of which it did not tell enough. */
export interface Change {
  readonly kind: 'finalized' | 'deleted' | 'metadataUpdated' | 'other';
  /** As the store calls it, without `s3:`: `ObjectRemoved:Delete`. */
  readonly eventName: string;
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string | null;
  /** RFC 3339. */
  readonly time: string;
  readonly sequencer: string;
  /** Tells two changes of one object's tags apart, which repeat the object's own sequencer. */
  readonly requestId: string;
}

const CHANGE_TYPES: Readonly<Record<Change['kind'], string>> = {
  finalized: FINALIZED,
  deleted: DELETED,
  metadataUpdated: METADATA_UPDATED,
  other: OTHER,
};

/** What tells one content of a key from the next. */
const generation = ({ versionId, ms }: Pick<Upload, 'versionId' | 'ms'>): string => versionId ?? String(ms);

/**
 * The event of an upload, the same to the letter whichever way it became known. `trigger` names the only one that it
 * is for: then the id is another one, so that the same object may be told to each trigger on its own. No part before
 * the first slash of an id holds one, so that no key can look like another's id.
 */
export function uploadEvent(connection: string, upload: Upload, trigger: string | null): CloudEvent {
  const { bucket, key, versionId, etag, ms } = upload;
  const content = versionId ?? `${ms}-${etag}`;
  return {
    specversion: '1.0',
    id: `${trigger === null ? '' : `${trigger}@`}${content}/${key}`,
    source: `s3://${connection}/${bucket}`,
    type: FINALIZED,
    time: new Date(ms).toISOString(),
    subject: `objects/${key}`,
    datacontenttype: 'application/json',
    data: storageObject(upload),
  };
}

/** Google's StorageObjectData; `size` is a number here. */
function storageObject(upload: Upload): JsonObject {
  const { bucket, key, versionId, etag, size, ms, contentType, metadata } = upload;
  const time = new Date(ms).toISOString();
  return {
    kind: 'storage#object',
    bucket,
    name: key,
    generation: generation({ versionId, ms }),
    size,
    etag,
    ...(contentType === undefined ? {} : { contentType }),
    timeCreated: time,
    updated: time,
    metadata: { ...metadata },
  };
}

export function changeEvent(connection: string, change: Change): CloudEvent {
  const { kind, eventName, bucket, key, versionId, time, sequencer, requestId } = change;
  return {
    specversion: '1.0',
    id: `${eventName}-${sequencer}-${requestId}-${versionId ?? ''}/${key}`,
    source: `s3://${connection}/${bucket}`,
    type: CHANGE_TYPES[kind],
    time,
    subject: `objects/${key}`,
    datacontenttype: 'application/json',
    data: {
      kind: 'storage#object',
      bucket,
      name: key,
      eventName,
      ...(versionId === null ? {} : { generation: versionId }),
    },
  };
}

/** As many bytes as fit, as base64, under the smallest bound that an event's data may be given. */
export const SHORT_BYTES = 512;

/** The event of a body that could not be read; the same body is the same event. `bytes` is its whole length. */
export function unreadableEvent(
  connection: string,
  raw: { readonly body: Uint8Array; readonly bytes: number; readonly reason: string; readonly now: number },
  keep = Number.POSITIVE_INFINITY,
): CloudEvent {
  const kept = raw.body.subarray(0, keep);
  return {
    specversion: '1.0',
    id: createHash('sha256').update(raw.body).update(String(raw.bytes)).digest('hex'),
    source: `s3://${connection}`,
    type: UNREADABLE,
    time: new Date(raw.now).toISOString(),
    datacontenttype: 'application/json',
    data: {
      reason: raw.reason,
      bytes: raw.bytes,
      truncated: kept.length < raw.bytes,
      base64: Buffer.from(kept).toString('base64'),
    },
  };
}
