import type { NotificationSpec } from '../../src/core/objects.ts';
import type { Change, Upload } from './event.ts';

/** One record of a notification. `upload` is there where it tells all that an upload's identity is made of. */
export interface Told {
  readonly change: Change;
  readonly upload: Upload | null;
}
type Notification =
  | { readonly ok: true; readonly told: readonly Told[]; readonly mismatch: string | null }
  | { readonly ok: false; readonly reason: string };

/**
 * The names that mean a finished upload. `ObjectCreated:*` also holds PutTagging, PutRetention and others, which
 * change no content.
 */
const FINALIZING: ReadonlySet<string> = new Set([
  'ObjectCreated:Put',
  'ObjectCreated:Post',
  'ObjectCreated:Copy',
  'ObjectCreated:CompleteMultipartUpload',
]);
const USER_METADATA = 'x-amz-meta-';
const NS_PER_MS = 1_000_000n;

/** Made once: that takes longer than its work. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Why a record cannot be read. */
class Unreadable extends Error {}

/**
 * Reads the body of an S3 event notification. Keys are decoded as the dialect says and never guessed: `minio` writes
 * them form-encoded (a space as `+`), `raw` as they are. Never throws: what cannot be read is a `reason` in words.
 */
export function parseNotification(body: Uint8Array, dialect: NotificationSpec['dialect']): Notification {
  try {
    const json = parseJson(body);
    const records = object(json, 'the body')['Records'];
    if (!Array.isArray(records)) throw new Unreadable('the body has no list "Records"');
    const told = records.map((record: unknown, index) => readRecord(record, `Records[${index}]`, dialect));
    return { ok: true, told, mismatch: dialect === 'minio' ? keyMismatch(json, told) : null };
  } catch (error) {
    if (error instanceof Unreadable) return { ok: false, reason: error.message };
    throw error;
  }
}

function parseJson(body: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    throw new Unreadable('the body is not UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Unreadable(`the body is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** MinIO writes `bucket/key` undecoded beside its one record: a check on the decoder that costs nothing. */
function keyMismatch(json: unknown, told: readonly Told[]): string | null {
  const key = object(json, 'the body')['Key'];
  const [only] = told;
  if (typeof key !== 'string' || only === undefined || told.length !== 1) return null;
  return key === `${only.change.bucket}/${only.change.key}` ? null : key;
}

function readRecord(record: unknown, where: string, dialect: NotificationSpec['dialect']): Told {
  const fields = object(record, where);
  const s3 = object(fields['s3'], `${where}.s3`);
  const told = object(s3['object'], `${where}.s3.object`);
  const eventName = textOf(fields['eventName'], `${where}.eventName`).replace(/^s3:/, '');
  const change: Change = {
    kind: kindOf(eventName),
    eventName,
    bucket: textOf(object(s3['bucket'], `${where}.s3.bucket`)['name'], `${where}.s3.bucket.name`),
    key: decodeKey(textOf(told['key'], `${where}.s3.object.key`), `${where}.s3.object.key`, dialect),
    versionId: versionOf(told['versionId']),
    time: time(fields['eventTime'], `${where}.eventTime`),
    sequencer: optional(told['sequencer']) ?? '',
    requestId: requestId(fields['responseElements']),
  };
  return { change, upload: readUpload(change, told, dialect) };
}

function kindOf(eventName: string): Change['kind'] {
  if (FINALIZING.has(eventName)) return 'finalized';
  if (eventName.startsWith('ObjectCreated:') || eventName.startsWith('ObjectTagging:'))
    return 'metadataUpdated';
  return eventName.startsWith('ObjectRemoved:') ? 'deleted' : 'other';
}

function decodeKey(key: string, where: string, dialect: NotificationSpec['dialect']): string {
  if (dialect === 'raw') return key;
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch {
    throw new Unreadable(
      `${where} is not form-encoded UTF-8, as MinIO writes it; see "dialect" of the connection`,
    );
  }
}

/** Servers write `null` or nothing for an object without a version, MinIO even for folder markers. */
function versionOf(value: unknown): string | null {
  const versionId = optional(value);
  return versionId === undefined || versionId === '' || versionId === 'null' ? null : versionId;
}

/**
 * MinIO's sequencer is the object's modification time in ns, which a listing tells in ms. Nobody else's is: there a
 * notification only says where to look.
 */
function readUpload(
  { kind, bucket, key, versionId, sequencer }: Change,
  told: Readonly<Record<string, unknown>>,
  dialect: NotificationSpec['dialect'],
): Upload | null {
  const etag = optional(told['eTag'])?.replaceAll('"', '') ?? '';
  if (kind !== 'finalized' || dialect !== 'minio' || etag === '') return null;
  if (!/^[0-9A-Fa-f]{16}$/.test(sequencer)) return null;
  // Absent for an object of no bytes.
  const size = told['size'] ?? 0;
  if (typeof size !== 'number') return null;
  const contentType = optional(told['contentType']);
  return {
    bucket,
    key,
    versionId,
    etag,
    size,
    ms: Number(BigInt(`0x${sequencer}`) / NS_PER_MS),
    ...(contentType === undefined ? {} : { contentType }),
    metadata: userMetadata(told['userMetadata']),
  };
}

/** Only what the uploader wrote: MinIO puts content-type, cache-control and others beside it. */
function userMetadata(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  const own: [string, string][] = [];
  for (const [name, content] of Object.entries(value)) {
    const lower = name.toLowerCase();
    if (lower.startsWith(USER_METADATA) && typeof content === 'string')
      own.push([lower.slice(USER_METADATA.length), content]);
  }
  return Object.fromEntries(own);
}

function requestId(value: unknown): string {
  if (typeof value !== 'object' || value === null) return '';
  return 'x-amz-request-id' in value ? (optional(value['x-amz-request-id']) ?? '') : '';
}

function time(value: unknown, where: string): string {
  const told = Date.parse(textOf(value, where));
  if (Number.isNaN(told)) throw new Unreadable(`${where} is no time`);
  return new Date(told).toISOString();
}

function object(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new Unreadable(`${where} is not an object`);
}

function textOf(value: unknown, where: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new Unreadable(`${where} is not a text`);
}

const optional = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
