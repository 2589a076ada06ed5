import type { SecretRef } from './secrets.ts';

/**
 * The port to object stores, one `ObjectStore` per configured connection. An object's address is
 * `s3://<connection>/<bucket>/<key>`, the key as it is: nothing in it is percent-encoded.
 */
export interface Objects {
  /** undefined where the configuration has no connection of that name. */
  connection(name: string): ObjectStore | undefined;
}

/**
 * One S3 connection. Every call has a deadline of its own (a stream: one between two chunks) and ends with `signal`.
 * Errors, from any method: OBJECT_STORE_UNAVAILABLE (unreachable, 5xx, throttled: it may work later),
 * OBJECT_ACCESS_DENIED (credentials or policy), BUCKET_NOT_FOUND, SECRET_UNREADABLE; messages name connection and bucket.
 */
export interface ObjectStore {
  readonly name: string;
  /** One page in the server's key order (UTF-8 bytes), by continuation token. */
  list(bucket: string, params: ListParams): Promise<ObjectPage>;
  /** One page of versions, newest first within a key; delete markers included. */
  listVersions(bucket: string, params: ListParams): Promise<VersionPage>;
  /** `suspended` and `enabled` buckets have versions to list. */
  versioning(bucket: string, signal?: AbortSignal): Promise<'off' | 'enabled' | 'suspended'>;
  /** null = no such object (or version). */
  head(object: ObjectAddress, signal?: AbortSignal): Promise<ObjectInfo | null>;
  /** null = no such object, or not any more the one with `etag`. The body errors when the connection breaks off. */
  get(object: ObjectAddress & { readonly etag?: string }, signal?: AbortSignal): Promise<ObjectBody | null>;
  /** Streams; of unknown length in parts. Durable at the store when it resolves. Nothing is there if it rejects. */
  put(object: ObjectAddress, body: AsyncIterable<Uint8Array>, params: PutParams): Promise<ObjectInfo>;
  /** Ends idle connections. */
  close(): void;
}

export interface ObjectAddress {
  readonly bucket: string;
  readonly key: string;
  /** Absent = the newest. */
  readonly versionId?: string;
}
export interface ListParams {
  readonly prefix: string;
  /** From the page before; absent = from the start. */
  readonly token?: string;
  readonly signal?: AbortSignal;
}
export interface ObjectPage {
  readonly objects: readonly ListedObject[];
  /** Absent = this was the last page. */
  readonly next?: string;
  /** By the server's clock (its Date header, whole seconds), epoch ms. */
  readonly serverTime: number;
}
export interface VersionPage {
  readonly versions: readonly ListedVersion[];
  readonly next?: string;
  readonly serverTime: number;
}
export interface ListedObject {
  readonly key: string;
  /** Without quotes. */
  readonly etag: string;
  readonly size: number;
  /** Epoch ms, as exact as the server tells. */
  readonly lastModified: number;
}
export interface ListedVersion extends ListedObject {
  /** `null` is the version that was written without versioning. */
  readonly versionId: string;
  readonly isLatest: boolean;
  /** A delete marker has no content; its etag is '' and its size 0. */
  readonly deleteMarker: boolean;
}
export interface ObjectInfo {
  readonly etag: string;
  readonly size: number;
  readonly lastModified: number;
  readonly versionId?: string;
  readonly contentType?: string;
  /** User metadata, names in lower case without `x-amz-meta-`. */
  readonly metadata: Readonly<Record<string, string>>;
}
export interface ObjectBody {
  readonly info: ObjectInfo;
  readonly body: AsyncIterable<Uint8Array>;
}
export interface PutParams {
  /** Bytes, where known; a body of another length is refused. */
  readonly size?: number;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

/** `connections.<name>` of kind `s3`. */
export interface S3ConnectionSpec {
  readonly kind: 's3';
  /** Absent = Amazon's own, by region. */
  readonly endpoint?: string;
  readonly region: string;
  /** bucket in the path, not in the host name. Default: true where an endpoint is given. */
  readonly pathStyle: boolean;
  readonly accessKeyId: SecretRef;
  readonly secretAccessKey: SecretRef;
  readonly sessionToken?: SecretRef;
  /** File with certificates (PEM) trusted beside the system's. */
  readonly ca?: string;
  /** Absent = the store sends none, only listings find objects. */
  readonly notifications?: NotificationSpec;
  /** Between two listings, ms. */
  readonly pollMs: number;
}
export interface NotificationSpec {
  /** Bearer token that the store sends. */
  readonly token: SecretRef;
  /** How keys are encoded in notifications: never guessed. `minio` = form-encoded, `raw` = as they are (Ceph). */
  readonly dialect: 'minio' | 'raw';
}
export type ConnectionSpec = S3ConnectionSpec;
