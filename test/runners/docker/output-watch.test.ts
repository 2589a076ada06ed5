import { PassThrough } from 'node:stream';
import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { OutputWatch } from '../../../src/runners/docker/output-watch.ts';
import { ManualClock } from '../../support/manual-clock.ts';

/** A watch of a log that says what `stream` says; `next` tells after how many ms it settled. */
async function watching() {
  const clock = new ManualClock();
  const stream = new PassThrough();
  const client = { followLog: () => Promise.resolve(stream as unknown as IncomingMessage) };
  const watch = new OutputWatch(client, clock, 'one');
  await watch.opened();
  const ends = async (): Promise<void> => {
    stream.destroy();
    await clock.advance(0);
  };
  const next = async (pauseMs: number): Promise<number> => {
    const began = clock.now();
    let settled = false;
    void watch.next(pauseMs).then(() => (settled = true));
    await clock.advance(0);
    while (!settled) await clock.advance(100);
    return clock.now() - began;
  };
  return { stream, ends, next };
}

it('pauses after output', async () => {
  const { stream, next } = await watching();
  stream.write('x');
  await new Promise((resolve) => setImmediate(resolve));
  expect(await next(2_000)).toBe(2_000);
});

it('an end that came while nobody waited is told at once, however long the pause would be', async () => {
  const { ends, next } = await watching();
  await ends();
  expect(await next(15_000)).toBe(0);
});

it('once it is told, an engine that tells nothing any more is asked with pauses', async () => {
  const { ends, next } = await watching();
  await ends();
  await next(100);
  expect(await next(100)).toBe(1_000);
  expect(await next(15_000)).toBe(15_000);
});
