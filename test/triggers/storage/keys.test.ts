import fc from 'fast-check';
import { expect, test } from 'vitest';
import { schema, concerns } from '../../../triggers/storage/config.ts';
import { uploadEvent } from '../../../triggers/storage/event.ts';
import { compareUtf8, ledgerRow, parseLedgerRow } from '../../../triggers/storage/keys.ts';

/** Few characters, the nasty ones among them, so that common beginnings are frequent. */
const key = fc
  .array(fc.constantFrom('\u0001', '\u0002', '\n', ' ', '/', 'a', 'é', '\ue000', '\uffff', '😀'), {
    minLength: 1,
    maxLength: 6,
  })
  .map((parts) => parts.join(''));
const bytes = (text: string) => Buffer.from(text, 'utf8');
const sign = (a: Buffer, b: Buffer) => Math.sign(Buffer.compare(a, b));

test('keys compare as their UTF-8 bytes do', () => {
  fc.assert(
    fc.property(key, key, (a, b) => {
      expect(Math.sign(compareUtf8(a, b))).toBe(sign(bytes(a), bytes(b)));
    }),
  );
});

test('rows sort as their keys do, and tell which object they are about', () => {
  const versionId = fc.constantFrom('v0', 'v1');
  fc.assert(
    fc.property(key, key, versionId, versionId, (a, b, v, w) => {
      for (const [x, y] of [
        [v, w],
        [null, null],
      ] as const) {
        const row = (k: string, id: string | null) => ledgerRow({ bucket: 'bu', key: k, versionId: id });
        expect(parseLedgerRow(row(a, x))).toEqual({ bucket: 'bu', key: a, versionId: x });
        if (a !== b) expect(sign(bytes(row(a, x)), bytes(row(b, y)))).toBe(sign(bytes(a), bytes(b)));
      }
    }),
  );
});

const place = (value: object) =>
  schema.safeParse({ kind: 'storage', connection: 'store', bucket: 'videos', ...value });

test('a source has defaults and refuses what cannot be', () => {
  expect(place({}).data).toEqual({
    kind: 'storage',
    connection: 'store',
    bucket: 'videos',
    prefix: '',
    suffix: '',
    existing: 'skip',
  });
  for (const wrong of [
    { bucket: 'a/b' },
    { bucket: '' },
    { existing: 'all' },
    { prefix: 'x'.repeat(1025) },
    { perfix: '' },
  ]) {
    expect(place(wrong).success).toBe(false);
  }
  expect(place({ perfix: 'in/' }).error?.issues[0]?.message).toContain('"prefix"');
});

test('a trigger is concerned by finished uploads to its place alone', () => {
  const upload = { bucket: 'videos', key: 'in/a.mp4', versionId: null, etag: 'e', size: 1, ms: 0 };
  const event = uploadEvent('store', upload, null);
  const asks = (filter: object) => concerns({ bucket: 'videos', prefix: '', suffix: '', ...filter })(event);
  expect([
    asks({}),
    asks({ prefix: 'in/' }),
    asks({ suffix: '.mp4' }),
    asks({ prefix: 'in/a.mp4', suffix: 'mp4' }),
  ]).toEqual([true, true, true, true]);
  expect([asks({ bucket: 'video' }), asks({ prefix: 'In/' }), asks({ suffix: '.MP4' })]).toEqual([
    false,
    false,
    false,
  ]);
  expect(concerns({ bucket: 'videos', prefix: '', suffix: '' })({ ...event, type: 'other' })).toBe(false);
  expect(concerns({ bucket: 'videos', prefix: '', suffix: '' })({ ...event, data: null })).toBe(false);
});
