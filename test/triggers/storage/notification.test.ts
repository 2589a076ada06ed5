import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseNotification } from '../../../triggers/storage/notification.ts';
import { uploadEvent } from '../../../triggers/storage/event.ts';

const FOLDER = new URL('../../fixtures/minio/', import.meta.url);
interface Expected {
  readonly file: string;
  readonly bucket: string;
  readonly key: string;
  readonly eventName: string;
  readonly size: number | null;
  readonly eTag: string;
  readonly versionId: string;
  readonly sequencerNs: string;
  readonly contentType: string;
  readonly userMetadata: Record<string, string>;
  readonly records: number;
}
const load = (name: string): unknown => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'));
const index = (load('index.json') as Partial<Expected>[]).filter(
  (entry): entry is Expected => entry.key !== undefined,
);
const bodyOf = (file: string): Buffer => {
  const read = load(file) as { request: { body: string } } | { request: { body: string } }[];
  return Buffer.from((Array.isArray(read) ? read[0] : read)?.request.body ?? '');
};
const body = (value: unknown) => Buffer.from(JSON.stringify(value));
const record = (over: object = {}, object: object = {}) => ({
  eventName: 'ObjectCreated:Put',
  eventTime: '2026-01-01T00:00:00.000Z',
  s3: {
    bucket: { name: 'b' },
    object: { key: 'a+b%2Bc', size: 3, eTag: 'e', sequencer: '18EB17FDC1131467', ...object },
  },
  ...over,
});
const only = (value: unknown, dialect: 'minio' | 'raw' = 'minio') => {
  const read = parseNotification(body(value), dialect);
  if (!read.ok) throw new Error(read.reason);
  return read.told[0];
};

describe('what a real MinIO sent', () => {
  test.each(index)('$file: $bucket $key', (expected) => {
    const read = parseNotification(bodyOf(expected.file), 'minio');
    if (!read.ok) throw new Error(read.reason);
    expect(read.mismatch).toBeNull();
    expect(read.told).toHaveLength(1);
    const { change, upload } = read.told[0] ?? {};
    expect(change).toMatchObject({
      bucket: expected.bucket,
      key: expected.key,
      eventName: expected.eventName,
    });
    const versionId = ['', 'null'].includes(expected.versionId) ? null : expected.versionId;
    expect(change?.versionId).toBe(versionId);
    const finalizes = /^ObjectCreated:(Put|Post|Copy|CompleteMultipartUpload)$/.test(expected.eventName);
    expect(change?.kind === 'finalized').toBe(finalizes);
    if (!finalizes) {
      expect(upload).toBeNull();
      return;
    }
    expect(upload).toEqual({
      bucket: expected.bucket,
      key: expected.key,
      versionId,
      etag: expected.eTag,
      size: expected.size,
      ms: Number(BigInt(expected.sequencerNs) / 1_000_000n),
      contentType: expected.contentType,
      metadata: expected.userMetadata,
    });
  });

  test('tags, retention and legal hold change metadata, removals delete, reading is something else', () => {
    const kinds = new Map(
      index.map(({ file, eventName }) => {
        const read = parseNotification(bodyOf(file), 'minio');
        return [eventName, read.ok ? read.told[0]?.change.kind : read.reason];
      }),
    );
    expect(Object.fromEntries(kinds)).toMatchObject({
      'ObjectCreated:PutTagging': 'metadataUpdated',
      'ObjectCreated:DeleteTagging': 'metadataUpdated',
      'ObjectCreated:PutRetention': 'metadataUpdated',
      'ObjectCreated:PutLegalHold': 'metadataUpdated',
      'ObjectRemoved:Delete': 'deleted',
      'ObjectRemoved:NoOP': 'deleted',
      'ObjectRemoved:DeleteMarkerCreated': 'deleted',
      'ObjectAccessed:Get': 'other',
    });
  });

  test('the same bytes twice are two events, a body sent twice is one', () => {
    const idOf = (file: string) => {
      const read = parseNotification(bodyOf(file), 'minio');
      const upload = read.ok ? read.told[0]?.upload : null;
      return upload ? uploadEvent('store', upload, null).id : '';
    };
    expect(idOf('minio-put.json')).toBe('1795555255070-5eb63bbbe01eeed093cb22bb8f5acdc3/in/a.jpg');
    expect(idOf('minio-put-again.json')).not.toBe(idOf('minio-put.json'));
    const [first, second] = load('minio-queued-duplicate-after-crash.json') as {
      request: { body: string };
    }[];
    expect(first?.request.body).toBe(second?.request.body);
  });
});

describe('keys', () => {
  test('are decoded once, as the dialect says, and never guessed', () => {
    expect(only({ Records: [record()] })?.change.key).toBe('a b+c');
    expect(only({ Records: [record({}, { key: 'a%2520b' })] })?.change.key).toBe('a%20b');
    expect(only({ Records: [record()] }, 'raw')?.change.key).toBe('a+b%2Bc');
  });

  test('that decode to another one than is named beside them are told', () => {
    const told = parseNotification(body({ Key: 'b/else', Records: [record()] }), 'minio');
    expect(told).toMatchObject({ ok: true, mismatch: 'b/else' });
    expect(parseNotification(body({ Key: 'b/a b+c', Records: [record()] }), 'minio')).toMatchObject({
      mismatch: null,
    });
  });
});

test('only MinIO tells the time that a listing tells: others must be asked', () => {
  expect(only({ Records: [record()] })?.upload).toMatchObject({ ms: 1795555255070, size: 3 });
  expect(only({ Records: [record()] }, 'raw')?.upload).toBeNull();
  for (const object of [{ sequencer: '5' }, { eTag: '' }, { sequencer: undefined }, { size: '3' }]) {
    expect(only({ Records: [record({}, object)] })).toMatchObject({
      change: { kind: 'finalized' },
      upload: null,
    });
  }
});

test.each([
  ['', 'the body is not JSON'],
  ['{"Records":', 'the body is not JSON'],
  ['[]', 'the body is not an object'],
  ['{"Event":"s3:TestEvent"}', 'the body has no list "Records"'],
  ['{"Records":[7]}', 'Records[0] is not an object'],
  [JSON.stringify({ Records: [record(), record({ s3: {} })] }), 'Records[1].s3.object is not an object'],
  [JSON.stringify({ Records: [record({}, { key: '' })] }), 'Records[0].s3.object.key is not a text'],
  [
    JSON.stringify({ Records: [record({}, { key: '%ff' })] }),
    'Records[0].s3.object.key is not form-encoded UTF-8',
  ],
  [JSON.stringify({ Records: [record({ eventTime: 'soon' })] }), 'Records[0].eventTime is no time'],
])('a body that cannot be read says why: %s', (text, reason) => {
  expect(parseNotification(Buffer.from(text), 'minio')).toMatchObject({
    ok: false,
    reason: expect.stringContaining(reason),
  });
  expect(parseNotification(Uint8Array.of(0xff, 0xfe), 'minio')).toEqual({
    ok: false,
    reason: 'the body is not UTF-8',
  });
});
