import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Demux, coalesce } from '../../../src/runners/docker/demux.ts';
import type { Piece } from '../../../src/runners/docker/demux.ts';

function frame(type: number, data: Buffer | string): Buffer {
  const payload = Buffer.from(data);
  const header = Buffer.alloc(8);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

const joined = (pieces: readonly Piece[], stream: string) =>
  Buffer.concat(pieces.filter((piece) => piece.stream === stream).map(({ data }) => data));

describe('Demux', () => {
  it('gives each stream its bytes, wherever the chunks are cut', () => {
    const frames = fc.array(
      fc.record({ type: fc.constantFrom(1, 2), data: fc.uint8Array({ maxLength: 40 }) }),
    );
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (all, cuts) => {
        const bytes = Buffer.concat(all.map(({ type, data }) => frame(type, Buffer.from(data))));
        const demux = new Demux();
        const pieces: Piece[] = [];
        for (let at = 0, n = 0; at < bytes.length; n++) {
          const size = cuts[n % cuts.length] ?? 1;
          pieces.push(...demux.push(bytes.subarray(at, at + size)));
          at += size;
        }
        const of = (type: number) =>
          Buffer.concat(all.filter((one) => one.type === type).map(({ data }) => data));
        expect(joined(pieces, 'stdout').equals(of(1))).toBe(true);
        expect(joined(pieces, 'stderr').equals(of(2))).toBe(true);
        expect(demux.atBoundary).toBe(true);
      }),
    );
  });

  it('knows a stream that was cut in a header or in a payload', () => {
    const whole = frame(1, 'hello');
    for (const end of [3, 8, 10]) {
      const demux = new Demux();
      demux.push(whole.subarray(0, end));
      expect(demux.atBoundary).toBe(false);
    }
  });

  it('takes a chunk of ten thousand one-byte frames, and two megabytes of them in no time', () => {
    const many = Buffer.concat(Array.from({ length: 10_000 }, () => frame(2, 'x')));
    const demux = new Demux();
    const before = performance.now();
    for (let round = 0; round < 22; round++) expect(demux.push(many)).toHaveLength(10_000);
    // Quadratic copying takes minutes for this.
    expect(performance.now() - before).toBeLessThan(1500);
  });

  it('keeps an error of the engine apart from the output', () => {
    const demux = new Demux();
    const pieces = demux.push(
      Buffer.concat([frame(1, 'out'), frame(3, 'driver failed\n'), frame(1, 'more')]),
    );
    expect(joined(pieces, 'stdout').toString()).toBe('outmore');
    expect(demux.systemError).toBe('driver failed');
  });

  it('refuses what is not in frames', () => {
    expect(() => new Demux().push(Buffer.from('plain text of a terminal'))).toThrow(/not in frames/);
  });
});

describe('coalesce', () => {
  const piece = (stream: 'stdout' | 'stderr', text: string): Piece => ({ stream, data: Buffer.from(text) });
  const shown = (pieces: readonly Piece[]) =>
    pieces.map(({ stream, data }) => `${stream}:${data.toString()}`);

  it('joins neighbours and keeps the order between the streams', () => {
    const pieces = [piece('stdout', 'a'), piece('stdout', 'b'), piece('stderr', 'c'), piece('stdout', 'd')];
    expect(shown(coalesce(pieces))).toEqual(['stdout:ab', 'stderr:c', 'stdout:d']);
  });

  it('makes two writes of a chunk that alternates all the time', () => {
    const pieces = Array.from({ length: 100 }, (_, n) =>
      piece(n % 2 === 0 ? 'stdout' : 'stderr', String(n % 10)),
    );
    expect(shown(coalesce(pieces))).toEqual([`stdout:${'02468'.repeat(10)}`, `stderr:${'13579'.repeat(10)}`]);
  });
});
