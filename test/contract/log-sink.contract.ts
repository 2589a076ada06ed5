import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AttemptKey } from '../../src/core/execution.ts';
import type {
  LogChunk,
  LogCursor,
  LogReadParams,
  LogSink,
  LogStream,
  OpenLog,
} from '../../src/core/log-sink.ts';

export interface LogSinkHarness {
  /** A sink over the same lasting place each time: a second one is what a new process would have. */
  open(): LogSink;
  close(): Promise<void>;
}

const KEY: AttemptKey = { execution: 'report-0123456789', index: 0, attempt: 0 };
const MIB = 1024 * 1024;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

export async function collect(
  sink: LogSink,
  key: AttemptKey,
  params: LogReadParams = {},
): Promise<LogChunk[]> {
  const chunks: LogChunk[] = [];
  for await (const chunk of sink.read(key, params)) chunks.push(chunk);
  return chunks;
}
export const textOf = (chunks: readonly LogChunk[]): string =>
  Buffer.concat(chunks.map((chunk) => chunk.data)).toString();

/** What every log sink does. */
export function logSinkContract(name: string, make: () => Promise<LogSinkHarness>): void {
  describe(`log sink: ${name}`, () => {
    let harness: LogSinkHarness;
    let sink: LogSink;
    /** A writer that its process leaves behind; only its file descriptor is given back. */
    const left: OpenLog[] = [];
    const openToLeave = async (from: LogSink): Promise<OpenLog> => {
      const writer = await from.open(KEY);
      left.push(writer);
      return writer;
    };
    beforeEach(async () => {
      harness = await make();
      sink = harness.open();
    });
    afterEach(async () => {
      await harness.close();
      await Promise.allSettled(left.splice(0).map((writer) => writer.close()));
    });

    it('gives back what was written, in order, with offsets per stream', async () => {
      const writer = await openToLeave(sink);
      await writer.write('stdout', bytes('one\n'));
      await writer.write('stderr', bytes('oh\n'));
      await writer.write('stdout', bytes('two\n'));
      expect(await writer.close()).toEqual({ stdout: 8, stderr: 3 });
      const chunks = await collect(sink, KEY);
      expect(chunks.map((c) => [c.stream, c.offset, textOf([c])])).toEqual([
        ['stdout', 0, 'one\n'],
        ['stderr', 0, 'oh\n'],
        ['stdout', 4, 'two\n'],
      ]);
      expect(textOf(await collect(sink, KEY, { stream: 'stderr' }))).toBe('oh\n');
    });

    it('continues after any position', async () => {
      const writer = await openToLeave(sink);
      for (const text of ['a', 'b', 'c', 'd']) await writer.write('stdout', bytes(text));
      const chunks = await collect(sink, KEY);
      for (const [i, chunk] of chunks.entries()) {
        const rest = await collect(sink, KEY, { after: chunk.position });
        expect(textOf(rest)).toBe('abcd'.slice(i + 1));
        expect(textOf(await collect(sink, KEY, { after: chunk.position + 1 }))).toBe('abcd'.slice(i + 1));
      }
    });

    it('tells which chunks begin a line, wherever the reading begins', async () => {
      const writer = await openToLeave(sink);
      for (const text of ['a\n', 'b', 'c\n', 'd']) await writer.write('stdout', bytes(text));
      await writer.write('stderr', bytes('e'));
      const again = await openToLeave(harness.open());
      for (const text of ['f\n', 'g']) await again.write('stdout', bytes(text));
      await again.write('stderr', bytes('h'));
      const expected = [
        'a\n true',
        'b true',
        'c\n false',
        'd true',
        'e true',
        'f\n false',
        'g true',
        'h false',
      ];
      const shown = (chunks: readonly LogChunk[]): string[] =>
        chunks.map((chunk) => `${textOf([chunk])} ${chunk.startsLine}`);
      const all = await collect(harness.open(), KEY);
      expect(shown(all)).toEqual(expected);
      for (const [i, { position }] of all.entries()) {
        expect(shown(await collect(harness.open(), KEY, { after: position }))).toEqual(expected.slice(i + 1));
      }
    });

    it('tells where the end is, so that the last chunks are read without the rest', async () => {
      expect(await sink.end(KEY)).toBe(0);
      const writer = await openToLeave(sink);
      for (const text of ['a', 'b', 'c', 'd']) await writer.write('stdout', bytes(text));
      const chunks = await collect(sink, KEY);
      const last = chunks.at(-1)?.position ?? Infinity;
      for (const from of [sink, harness.open()]) {
        const end = await from.end(KEY);
        expect(end).toBeGreaterThan(last);
        expect(textOf(await collect(from, KEY, { after: end - 1 }))).toBe('');
        expect(textOf(await collect(from, KEY, { after: end - (end - last) - 1 }))).toBe('d');
      }
    });

    it('keeps beginning and end of a log that is longer than its room, and tells what is missing', async () => {
      const truth: Record<LogStream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
      const writer = await sink.open(KEY, { maxBytes: MIB });
      left.push(writer);
      for (let i = 0; i < 150; i++) {
        const stream = i % 3 === 0 ? 'stderr' : 'stdout';
        const line = Buffer.from(`${String(i).padStart(9)}\n`.repeat(2000));
        await writer.write(stream, line);
        truth[stream] = Buffer.concat([truth[stream], line]);
      }
      const { stdout, stderr } = truth;
      expect(readable(writer.cursor())).toEqual({
        stdout: [stdout.length, stdout.subarray(-4096).toString()],
        stderr: [stderr.length, stderr.subarray(-4096).toString()],
      });
      const chunks = await collect(harness.open(), KEY);
      const kept = chunks.reduce((sum, { data }) => sum + data.length, 0);
      expect([kept > 0.7 * MIB, kept <= MIB]).toEqual([true, true]);
      for (const stream of ['stdout', 'stderr'] as const) {
        const own = chunks.filter((chunk) => chunk.stream === stream);
        expect(own.filter(({ missing }) => missing !== undefined)).toHaveLength(1);
        const rebuilt = own.map(({ offset, data, missing = 0 }) =>
          missing > 0 ? truth[stream].subarray(offset - missing, offset) : Buffer.from(data),
        );
        expect(Buffer.concat(rebuilt).equals(truth[stream])).toBe(true);
        const alone = await collect(harness.open(), KEY, { stream });
        expect(alone.map(({ position }) => position)).toEqual(own.map(({ position }) => position));
      }
      const ordered = chunks.map(({ position }) => position);
      expect(new Set(ordered).size).toBe(chunks.length);
      expect(ordered).toEqual([...ordered].sort((a, b) => a - b));
    });

    it('is empty where nothing was written', async () => {
      expect(await collect(sink, KEY)).toEqual([]);
      const writer = await openToLeave(sink);
      await writer.write('stdout', new Uint8Array());
      const followed = collect(sink, KEY, { follow: true });
      expect(await writer.close()).toEqual({ stdout: 0, stderr: 0 });
      expect([await followed, await collect(sink, KEY)]).toEqual([[], []]);
    });

    it('keeps the last 4 KiB of each stream in the cursor, also for a later process', async () => {
      const writer = await openToLeave(sink);
      const long = new Uint8Array(10_000).map((_, i) => 65 + (i % 26));
      await writer.write('stdout', long);
      await writer.write('stderr', bytes('x'));
      await writer.write('stdout', bytes('end'));
      const whole = `${Buffer.from(long).toString()}end`;
      const expected = { stdout: [10_003, whole.slice(-4096)], stderr: [1, 'x'] };
      expect(readable(writer.cursor())).toEqual(expected);
      const again = await openToLeave(harness.open());
      expect(readable(again.cursor())).toEqual(expected);
    });

    it('goes on where an earlier process stopped, closed or not', async () => {
      await (await openToLeave(sink)).write('stdout', bytes('1'));
      const second = await harness.open().open(KEY);
      await second.write('stdout', bytes('2'));
      expect(await second.close()).toEqual({ stdout: 2, stderr: 0 });
      const third = await harness.open().open(KEY);
      await third.write('stderr', bytes('3'));
      expect(await third.close()).toEqual({ stdout: 2, stderr: 1 });
      expect(await third.close()).toEqual({ stdout: 2, stderr: 1 });
      const chunks = await collect(harness.open(), KEY);
      expect(textOf(chunks)).toBe('123');
      expect(chunks.map((c) => c.offset)).toEqual([0, 1, 0]);
      expect([...chunks].sort((a, b) => a.position - b.position)).toEqual(chunks);
    });

    it('is left without a mark of its end: a follower goes on with the next owner, and nothing is made', async () => {
      const writer = await sink.open(KEY);
      const following = collect(sink, KEY, { follow: true });
      await writer.write('stdout', bytes('a'));
      await writer.leave();
      await writer.leave();
      await expect(writer.write('stdout', bytes('z'))).rejects.toThrow('ended');
      const next = await openToLeave(sink);
      await next.write('stdout', bytes('b'));
      await next.close();
      expect(textOf(await following)).toBe('ab');
    });

    it('is followed, by who knows of its end by other means, over a close and to that end', async () => {
      const writer = await openToLeave(sink);
      await writer.write('stdout', bytes('a'));
      await writer.close();
      const ended = new AbortController();
      const following = collect(sink, KEY, { follow: true, ended: ended.signal });
      const next = await openToLeave(sink);
      await next.write('stdout', bytes('b'));
      await next.leave();
      ended.abort();
      expect(textOf(await following)).toBe('ab');
    });

    it('refuses the writes of a writer that another has followed', async () => {
      const first = await sink.open(KEY);
      await first.write('stdout', bytes('a'));
      const second = await sink.open(KEY);
      await expect(first.write('stdout', bytes('b'))).rejects.toThrow('ended');
      await first.close();
      await second.write('stdout', bytes('c'));
      await second.close();
      expect(textOf(await collect(sink, KEY))).toBe('ac');
    });

    it('follows from before the first byte to the close', async () => {
      const following = collect(sink, KEY, { follow: true });
      const writer = await openToLeave(sink);
      for (let i = 0; i < 20; i++) await writer.write('stdout', bytes(`${i} `));
      await writer.close();
      expect(textOf(await following)).toBe('0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ');
    });

    it('shows a follower each write as it comes', async () => {
      const writer = await openToLeave(sink);
      const reader = sink.read(KEY, { follow: true })[Symbol.asyncIterator]();
      for (const text of ['a', 'b', 'c']) {
        await writer.write('stderr', bytes(text));
        const next = await reader.next();
        expect(next.done === true ? '' : textOf([next.value])).toBe(text);
      }
      await writer.close();
      expect((await reader.next()).done).toBe(true);
    });

    it('ends a follower at its signal', async () => {
      const writer = await openToLeave(sink);
      await writer.write('stdout', bytes('a'));
      const abort = new AbortController();
      const reader = sink.read(KEY, { follow: true, signal: abort.signal })[Symbol.asyncIterator]();
      await reader.next();
      const next = reader.next();
      abort.abort();
      expect((await next).done).toBe(true);
    });

    it('ends at once where the log was closed by an earlier process', async () => {
      const writer = await openToLeave(sink);
      await writer.write('stdout', bytes('a'));
      await writer.close();
      expect(textOf(await collect(harness.open(), KEY, { follow: true }))).toBe('a');
    });

    it('takes writes of both streams at the same time, and large ones', async () => {
      const writer = await openToLeave(sink);
      const large = Buffer.alloc(3_000_000, 'large');
      await Promise.all([
        writer.write('stdout', large),
        writer.write('stderr', bytes('small')),
        writer.write('stdout', bytes('!')),
      ]);
      await writer.close();
      const out = textOf(await collect(sink, KEY, { stream: 'stdout' }));
      expect(out === `${large.toString()}!`).toBe(true);
      expect(textOf(await collect(sink, KEY, { stream: 'stderr' }))).toBe('small');
    });

    it('removes an execution, twice, and keeps the others', async () => {
      const other = { execution: 'other-0123456789', index: 3, attempt: 1 };
      for (const key of [KEY, other]) {
        const writer = await sink.open(key);
        await writer.write('stdout', bytes('a'));
        await writer.close();
      }
      await sink.remove(KEY.execution);
      await sink.remove(KEY.execution);
      expect(await collect(sink, KEY)).toEqual([]);
      expect(textOf(await collect(sink, other))).toBe('a');
    });

    it.each(['..', '.', '', '../up', 'a/b', '/etc', 'a\0b', 'x'.repeat(300)])(
      'refuses the name %j',
      async (execution) => {
        const key = { ...KEY, execution };
        await expect(sink.open(key)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        await expect(collect(sink, key)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        await expect(sink.remove(execution)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      },
    );
  });
}

/** A cursor with its tails as text. */
function readable(cursor: LogCursor): unknown {
  const part = ({ bytes: count, tail }: LogCursor['stdout']): unknown => [
    count,
    Buffer.from(tail).toString(),
  ];
  return { stdout: part(cursor.stdout), stderr: part(cursor.stderr) };
}
