import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GatheredBytes } from '../../src/lib/gathered-bytes.ts';

const MIB = 1024 * 1024;
/** What the least block may take beside that. */
const LEAST = 256;

test('200,000 bytes that come one by one take no more than twice their number, at any time', () => {
  const bytes = new GatheredBytes(MIB);
  let most = 0;
  for (let i = 0; i < 200_000; i++) {
    bytes.add(Uint8Array.of(i % 251));
    most = Math.max(most, bytes.held - 2 * bytes.size);
  }
  expect(most).toBeLessThanOrEqual(LEAST);
  expect(bytes.size).toBe(200_000);
  const joined = Buffer.from(bytes.joined());
  expect(joined.equals(Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251)))).toBe(true);
});

test('pieces of any size come out as they came, whatever becomes of their memory, in no more than the limit', () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 2_000 })));
  fc.assert(
    fc.property(sizes, fc.integer({ min: 0, max: 500 }), (lengths, more) => {
      const all = Buffer.alloc(lengths.reduce((sum, length) => sum + length, 0));
      for (let i = 0; i < all.length; i++) all[i] = (i * 7919) % 256;
      const limit = all.length + more;
      const bytes = new GatheredBytes(limit);
      let at = 0;
      for (const length of lengths) {
        const piece = Uint8Array.from(all.subarray(at, at + length));
        at += length;
        bytes.add(piece);
        piece.fill(0);
        expect(bytes.size).toBe(at);
        expect(bytes.held).toBeLessThanOrEqual(Math.min(limit, 2 * at + LEAST));
      }
      expect(Buffer.from(bytes.joined()).equals(all)).toBe(true);
    }),
  );
});

test('a body that is one piece is not copied a second time', () => {
  const bytes = new GatheredBytes(MIB);
  bytes.add(Buffer.alloc(5_000, 1));
  expect(bytes.held).toBe(5_000);
  expect(bytes.joined()).toBe(bytes.joined());
});
