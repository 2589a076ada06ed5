import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LogStream } from '../../src/core/log-sink.ts';
import { lastLines } from '../../src/http/log-last.ts';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { ManualClock } from '../support/manual-clock.ts';

const KEY = { execution: 'e', index: 0, attempt: 0 };
let dir: string;
let logs: FileLogSink;
/** The lines as written: stdout much, stderr now and then, none of them as long as another. */
const written: { readonly stream: LogStream; readonly text: string }[] = [];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tappet-last-'));
  logs = new FileLogSink({ dir, clock: new ManualClock() });
  const writer = await logs.open(KEY);
  let pending = '';
  for (let i = 0; i < 20_000; i++) {
    const stream = i % 5000 === 7 ? 'stderr' : 'stdout';
    const text = `${i} ${'x'.repeat(i % 97)}`;
    written.push({ stream, text });
    if (stream === 'stdout') pending += `${text}\n`;
    if (stream === 'stderr' || i % 300 === 0 || i === 19_999) {
      await writer.write('stdout', Buffer.from(pending));
      pending = '';
    }
    if (stream === 'stderr') await writer.write('stderr', Buffer.from(`${text}\n`));
  }
  await writer.close();
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test.each([1, 2, 13, 999, 1000, 5000, 9999])(
  'the last %i lines are the last that were written',
  async (count) => {
    const { lines } = await lastLines({ logs, key: KEY }, { lines: count, wanted: () => true, open: false });
    expect(lines.map(({ stream, bytes }) => ({ stream, text: bytes.toString() }))).toEqual(
      written.slice(-count),
    );
  },
);

test.each(['stdout', 'stderr'] as const)('of %s alone, and of those with a text', async (stream) => {
  const own = written.filter((line) => line.stream === stream).map(({ text }) => text);
  const last = async (lines: number, wanted: (text: string) => boolean): Promise<string[]> => {
    const found = await lastLines(
      { logs, key: KEY, stream },
      { lines, open: false, wanted: ({ bytes }) => wanted(bytes.toString()) },
    );
    return found.lines.map(({ bytes }) => bytes.toString());
  };
  expect(await last(3, () => true)).toEqual(own.slice(-3));
  const has7 = (text: string): boolean => text.startsWith('7') || text.startsWith('50');
  expect(await last(3, has7)).toEqual(own.filter(has7).slice(-3));
  expect(await last(5, () => false)).toEqual([]);
});

test('very long lines stay within 16 MiB', async () => {
  const key = { ...KEY, attempt: 1 };
  const writer = await logs.open(key);
  const long = Buffer.alloc(200_000, 'y');
  long[long.length - 1] = 0x0a;
  for (let i = 0; i < 100; i++) await writer.write('stdout', long);
  await writer.close();
  const { lines } = await lastLines({ logs, key }, { lines: 100, wanted: () => true, open: false });
  const bytes = lines.reduce((sum, line) => sum + line.bytes.length, 0);
  expect(bytes).toBeLessThanOrEqual(16 * 1024 * 1024);
  expect(bytes).toBeGreaterThan(15 * 1024 * 1024);
  expect(lines.at(-1)?.offset).toBe(99 * 200_000);
});
