import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogChunk, LogSink, LogStream } from '../../src/core/log-sink.ts';
import { readFrom, readTail } from '../../src/http/page/log-tail.ts';

const KEY = { execution: 'e', index: 0, attempt: 0 };

/** A log of these chunks. Positions have gaps, as those of a real one. */
function logOf(chunks: readonly (readonly [LogStream, Uint8Array | string])[], repeat = 1): LogSink {
  return {
    async *read(_key, { after = -1 }) {
      for (let round = 0; round < repeat; round++) {
        for (const [i, [stream, data]] of chunks.entries()) {
          const position = (round * chunks.length + i) * 7;
          const bytes = typeof data === 'string' ? Buffer.from(data) : data;
          if (position > after)
            yield { stream, offset: 0, position, time: 0, data: bytes } satisfies LogChunk;
        }
      }
    },
    end: async () => repeat * chunks.length * 7,
    open: () => Promise.reject(new Error('not used here')),
    remove: async () => undefined,
  };
}

const stream = fc.constantFrom<LogStream>('stdout', 'stderr');
const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'ä', '😀'), maxLength: 20 });

test('a short log is whole, in its order, with characters that were cut between chunks', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(stream, letters), { maxLength: 8 }),
      fc.integer({ min: 1, max: 3 }),
      async (writes, step) => {
        // Each stream's bytes in small pieces.
        const pieces = writes.flatMap(([name, text]) => {
          const bytes = Buffer.from(text);
          return Array.from(
            { length: Math.ceil(bytes.length / step) },
            (_, i) => [name, bytes.subarray(i * step, (i + 1) * step)] as const,
          );
        });
        const { parts, cut } = await readTail(logOf(pieces), KEY, { bytes: 10_000 });
        expect(cut).toBe(false);
        expect(parts.map(({ text }) => text).join('')).toBe(writes.map(([, text]) => text).join(''));
        for (const name of ['stdout', 'stderr'] as const) {
          const of = writes.filter(([one]) => one === name).map(([, text]) => text);
          expect(
            parts
              .filter((part) => part.stream === name)
              .map(({ text }) => text)
              .join(''),
          ).toBe(of.join(''));
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('the end of a long log is its last lines, the first of them whole', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 300 }),
      async (size, bytes) => {
        const text = Array.from({ length: 60 }, (_, i) => `line ${i}\n`).join('');
        const all = Buffer.from(text);
        const pieces = Array.from(
          { length: Math.ceil(all.length / size) },
          (_, i) => ['stdout', all.subarray(i * size, (i + 1) * size)] as const,
        );
        const tail = await readTail(logOf(pieces), KEY, { bytes });
        const shown = tail.parts.map((part) => part.text).join('');
        expect(tail.cut).toBe(true);
        expect(text.endsWith(shown)).toBe(true);
        expect(Buffer.byteLength(shown)).toBeLessThanOrEqual(bytes);
        expect(Buffer.byteLength(shown)).toBeGreaterThan(bytes - 'line 59\n'.length - 1);
      },
    ),
    { numRuns: 100 },
  );
});

test('of a long log only the end is read', async () => {
  let read = 0;
  const log = logOf([['stdout', new Uint8Array(1024).fill(97)]], 100_000);
  const counted: LogSink = {
    ...log,
    async *read(key, params) {
      for await (const chunk of log.read(key, params)) {
        read++;
        yield chunk;
      }
    },
  };
  expect(await readTail(counted, KEY, { bytes: 100 })).toMatchObject({ cut: true });
  expect(read).toBeLessThan(100);
});

test('a log of many small chunks keeps its end', async () => {
  const log = logOf(
    [
      ['stdout', 'a'],
      ['stderr', 'b'],
    ],
    5_000,
  );
  const tail = await readTail(log, KEY, { bytes: 10 });
  expect(tail.cut).toBe(true);
  expect(tail.parts.map(({ text }) => text).join('')).toBe('ababababab');
});

test('a gap is told of, also where the rest of its stream is not shown', async () => {
  const log = logOf([
    ['stdout', 'begin\n'],
    ['stdout', 'end\n'],
  ]);
  const gap = {
    stream: 'stdout',
    offset: 1_000_006,
    position: 3,
    time: 0,
    data: new Uint8Array(),
    missing: 1_000_000,
  } as const;
  const withGap: LogSink = {
    ...log,
    async *read(key, params) {
      for await (const chunk of log.read(key, params)) {
        yield chunk;
        if (chunk.position === 0) yield gap;
      }
    },
  };
  const { parts } = await readTail(withGap, KEY, { bytes: 1000 });
  expect(parts.map(({ text }) => text).join('')).toBe(
    'begin\n\n[tappet] 1000000 bytes are missing here: the log was longer than maxLogBytes of its job.\nend\n',
  );
});

test('pieces from a position on follow one another without a gap, and the last one says so', async () => {
  const log = logOf(Array.from({ length: 10 }, (_, i) => ['stdout', `${i};`] as const));
  const seen: string[] = [];
  let after: number | undefined;
  for (;;) {
    const piece = await readFrom(log, KEY, { after, bytes: 6 });
    seen.push(piece.parts.map(({ text }) => text).join(''));
    if (piece.next === null) break;
    after = piece.next;
  }
  expect(seen).toEqual(['0;1;2;', '3;4;5;', '6;7;8;', '9;']);
});

test.each([
  ['\u001b[1;31mred\u001b[0m', 'red'],
  ['\u001b]0;title\u0007text', 'text'],
  ['10%\r20%\r\n', '10%\n20%\n'],
  ['a\u001b', 'a\u001b'],
])('%j is read as %j', async (written, read) => {
  const tail = await readTail(logOf([['stdout', written]]), KEY, { bytes: 100 });
  expect(tail).toMatchObject({ parts: [{ text: read }] });
});

test('carriage returns are line ends, of any number, and in no time that grows faster than they do', async () => {
  const text = async (written: string): Promise<string | undefined> =>
    (await readTail(logOf([['stdout', written]]), KEY, { bytes: 200_000 })).parts[0]?.text;
  expect(await text('1 %\r2 %\r\rend\r\nnext\r\r\nlast\r')).toBe('1 %\n2 %\n\nend\nnext\nlast\n');
  const start = performance.now();
  expect(await text(`${'\r'.repeat(100_000)}x`)).toBe(`${'\n'.repeat(100_000)}x`);
  expect(performance.now() - start).toBeLessThan(1_000);
});
