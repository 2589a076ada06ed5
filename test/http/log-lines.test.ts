import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogChunk, LogStream } from '../../src/core/log-sink.ts';
import { LineSplitter, MAX_LINE_BYTES } from '../../src/http/log-lines.ts';
import type { LogLine } from '../../src/http/log-lines.ts';

type Piece = readonly [LogStream, Buffer];

/** The chunks of a log in which these pieces stand. */
function chunksOf(pieces: readonly Piece[]): LogChunk[] {
  const offsets = { stdout: 0, stderr: 0 };
  return pieces.map(([stream, data], position) => {
    const offset = offsets[stream];
    offsets[stream] += data.length;
    return { stream, offset, position, time: position, data };
  });
}
function linesOf(chunks: readonly LogChunk[]): LogLine[] {
  const splitter = new LineSplitter();
  return [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.end()];
}
const stream = fc.constantFrom<LogStream>('stdout', 'stderr');
const bytes = fc
  .array(fc.constantFrom(0x61, 0x0a, 0xc3, 0xa4, 0x00, 0x0d), { maxLength: 12 })
  .map((list) => Buffer.from(list));

test('the lines of each stream are its bytes, however they were cut into chunks', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(stream, bytes), { maxLength: 20 }), (pieces) => {
      const lines = linesOf(chunksOf(pieces));
      for (const name of ['stdout', 'stderr'] as const) {
        const all = Buffer.concat(pieces.filter(([one]) => one === name).map(([, data]) => data));
        const own = lines.filter((line) => line.stream === name);
        const joined = own.map((line) => Buffer.concat([line.bytes, Buffer.from(line.whole ? '\n' : '')]));
        expect(Buffer.concat(joined)).toEqual(all);
        expect(own.every((line) => !line.bytes.includes('\n'))).toBe(true);
        expect(own.slice(0, -1).every((line) => line.whole)).toBe(true);
        for (const line of own) {
          expect(all.subarray(line.offset, line.offset + line.bytes.length)).toEqual(line.bytes);
        }
      }
      const times = lines.map(({ time }) => time);
      expect(times).toEqual([...times].sort((a, b) => a - b));
    }),
  );
});

test('a line beyond 256 KiB comes in pieces, and none of it is missing', () => {
  const data = Buffer.alloc(MAX_LINE_BYTES * 2 + 10, 'x');
  data[data.length - 1] = 0x0a;
  const pieces: Piece[] = [];
  for (let at = 0; at < data.length; at += 999) pieces.push(['stdout', data.subarray(at, at + 999)]);
  const lines = linesOf(chunksOf(pieces));
  expect(lines.map((line) => [line.offset, line.bytes.length, line.whole])).toEqual([
    [0, MAX_LINE_BYTES, false],
    [MAX_LINE_BYTES, MAX_LINE_BYTES, false],
    [MAX_LINE_BYTES * 2, 9, true],
  ]);
});

test('what waits for its end holds its own bytes only', () => {
  const splitter = new LineSplitter();
  const block = Buffer.alloc(200_000, 'x');
  block.write('\na', block.length - 2);
  splitter.push({ stream: 'stdout', offset: 0, position: 0, time: 0, data: block });
  const [line] = splitter.end();
  expect(line?.bytes.toString()).toBe('a');
  expect(line?.bytes.buffer.byteLength).toBeLessThan(100_000);
});

test('a line whose beginning is not there is known as such, at the start and after a gap', () => {
  const chunk = (offset: number, text: string, startsLine?: boolean): LogChunk => ({
    stream: 'stdout',
    offset,
    position: offset,
    time: 0,
    data: Buffer.from(text),
    ...(startsLine === undefined ? {} : { startsLine }),
  });
  const cuts = (chunks: LogChunk[]): string[] =>
    linesOf(chunks).map(({ bytes: b, cut, missing }) => `${b.toString()} ${missing ?? cut ?? false}`);
  expect(cuts([chunk(10, 'half\nwhole\n', false)])).toEqual(['half true', 'whole false']);
  expect(cuts([chunk(10, 'whole\n', true)])).toEqual(['whole false']);
  expect(cuts([chunk(10, 'who knows\n')])).toEqual(['who knows true']);
  const gap = { ...chunk(20, ''), data: new Uint8Array(), missing: 10 };
  expect(cuts([chunk(0, 'a\n', true), gap, chunk(20, 'half\nb\n', false)])).toEqual([
    'a false',
    ' 10',
    'half true',
    'b false',
  ]);
});

test('a gap ends the line before it and stands for itself', () => {
  const [begin, end] = [Buffer.from('abc'), Buffer.from('yz\n')];
  const lines = linesOf([
    { stream: 'stdout', offset: 0, position: 0, time: 5, data: begin },
    { stream: 'stdout', offset: 103, position: 9, time: 3, data: new Uint8Array(), missing: 100 },
    { stream: 'stdout', offset: 103, position: 10, time: 4, data: end },
  ]);
  expect(
    lines.map(({ offset, time, whole, missing, bytes: b }) => [b.toString(), offset, time, whole, missing]),
  ).toEqual([
    ['abc', 0, 5, false, undefined],
    // The clock was set back: the order stands.
    ['', 103, 5, true, 100],
    ['yz', 103, 5, true, undefined],
  ]);
});
