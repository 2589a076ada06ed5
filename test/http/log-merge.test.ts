import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogLine } from '../../src/http/log-lines.ts';
import { lastOfAll } from '../../src/http/log-last.ts';
import { mergeByTime } from '../../src/http/log-merge.ts';
import type { LineSource } from '../../src/http/log-merge.ts';

const lineAt = (time: number, offset: number): LogLine => ({
  stream: 'stdout',
  time,
  offset,
  bytes: Buffer.from(`${time}`),
  whole: true,
});

interface Log {
  readonly index: number;
  readonly times: readonly number[];
}
/** Distances between lines, so that times never fall. */
const logs = fc
  .array(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 12 }), { maxLength: 6 })
  .map((all) =>
    all.map((steps, index): Log => {
      let time = index;
      return { index, times: steps.map((step) => (time += step)) };
    }),
  );

/** One batch a line, and some that are empty. */
function sourceOf({ index, times }: Log, onOpen: (by: number) => void = () => undefined): LineSource {
  return {
    index,
    attempt: 0,
    from: index,
    async *lines() {
      onOpen(1);
      try {
        for (const [i, time] of times.entries()) {
          await Promise.resolve();
          yield [];
          yield [lineAt(time, i)];
        }
      } finally {
        onOpen(-1);
      }
    },
  };
}

async function merged(sources: readonly LineSource[]): Promise<string[]> {
  const out: string[] = [];
  for await (const entries of mergeByTime(sources))
    out.push(...entries.map(({ line, index }) => `${line.time} ${index} ${line.offset}`));
  return out;
}

test('merging gives every line once, by time, each log in its own order', async () => {
  await fc.assert(
    fc.asyncProperty(logs, async (all) => {
      const out = await merged(all.map((log) => sourceOf(log)).reverse());
      expect([...out].sort()).toEqual(
        all.flatMap(({ index, times }) => times.map((time, i) => `${time} ${index} ${i}`)).sort(),
      );
      const times = out.map((text) => Number.parseInt(text, 10));
      expect(times).toEqual([...times].sort((a, b) => a - b));
      for (const { index } of all) {
        const own = out
          .filter((text) => text.split(' ')[1] === String(index))
          .map((text) => Number(text.split(' ')[2]));
        expect(own).toEqual(own.map((_, i) => i));
      }
    }),
  );
});

test('of logs that were written one after another one is open at a time', async () => {
  let open = 0;
  let most = 0;
  const sources = Array.from({ length: 1000 }, (_, i): LineSource => {
    const source = sourceOf({ index: i, times: [i * 10 + 1, i * 10 + 2] }, (by) => {
      open += by;
      most = Math.max(most, open);
    });
    return { ...source, from: i * 10 };
  });
  expect(await merged(sources)).toHaveLength(2000);
  expect({ most, open }).toEqual({ most: 1, open: 0 });
});

test('who goes away leaves no log open', async () => {
  let open = 0;
  const sources = [0, 1, 2].map((index) =>
    sourceOf({ index, times: Array.from({ length: 2000 }, (_, i) => 5 + i) }, (by) => (open += by)),
  );
  for await (const _ of mergeByTime(sources)) break;
  expect(open).toBe(0);
});

test('the last lines of all logs are the last of the merge', async () => {
  await fc.assert(
    fc.asyncProperty(logs, fc.integer({ min: 1, max: 20 }), async (all, count) => {
      const sources = all.map(({ index, times }) => ({
        index,
        attempt: 0,
        endTime: times.length % 2 === 0 ? null : (times.at(-1) ?? 0),
        last: async (lines: number) => times.map((time, i) => lineAt(time, i)).slice(-lines),
      }));
      const last = await lastOfAll(sources, count);
      const expected = all
        .flatMap(({ times }) => times)
        .sort((a, b) => a - b)
        .slice(-count);
      expect(last.map(({ line }) => line.time)).toEqual(expected);
    }),
  );
});

test('logs that ended long before the last lines are not looked at', async () => {
  let looks = 0;
  const sources = Array.from({ length: 1000 }, (_, index) => ({
    index,
    attempt: 0,
    endTime: index * 100_000,
    last: async () => {
      looks += 1;
      return [lineAt(index * 100_000, 0)];
    },
  }));
  const last = await lastOfAll(sources, 3);
  expect(last.map(({ index }) => index)).toEqual([997, 998, 999]);
  expect(looks).toBeLessThan(6);
});
