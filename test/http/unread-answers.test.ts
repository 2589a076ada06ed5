import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { listen } from '../../src/http/server.ts';
import { byteStream } from '../../src/http/streams.ts';
import { SmallBodies } from '../../src/http/small-bodies.ts';
import { UnreadAnswers } from '../../src/http/unread-answers.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** What is counted for an answer beside its piece. */
const BLOCK = 256 * KIB;

function rig(answers: number, maxLargeBytes?: number) {
  const unread = new UnreadAnswers(answers * (BLOCK + KIB), maxLargeBytes);
  const cut: string[] = [];
  const named = new Map<string, object>();
  const of = (name: string): object => {
    const one = named.get(name) ?? {};
    named.set(name, one);
    return one;
  };
  return {
    cut,
    wait: (name: string, bytes = KIB, caller = name) =>
      unread.wait(of(name), { bytes, caller, cut: () => cut.push(name) }),
    go: (name: string) => unread.go(of(name)),
  };
}

test('where too many wait for their readers, those who have waited longest are cut off, and no more than that', () => {
  const { cut, wait } = rig(3);
  for (const name of ['a', 'b', 'c']) wait(name);
  expect(cut).toEqual([]);
  wait('d');
  expect(cut).toEqual(['a']);
  wait('e', 2 * (BLOCK + KIB) - BLOCK);
  expect(cut).toEqual(['a', 'b', 'c']);
});

test('who reads has not waited long, and who has gone takes no room', () => {
  const { cut, wait, go } = rig(2);
  wait('slow');
  wait('reader');
  go('slow');
  wait('slow');
  wait('new');
  expect(cut).toEqual(['reader']);
  go('slow');
  wait('another');
  expect(cut).toEqual(['reader']);
});

test('answers that hold much cut off none that hold little, and have room by themselves', () => {
  const { cut, wait, go } = rig(2, 2 * (4 * MIB + BLOCK));
  wait('a');
  wait('b');
  wait('large', 4 * MIB);
  wait('another large', 4 * MIB);
  expect(cut).toEqual([]);
  wait('third large', 4 * MIB);
  expect(cut).toEqual(['large']);
  wait('c');
  expect(cut).toEqual(['large', 'a']);
  // What is left of it is as little as any other.
  wait('third large', KIB);
  expect(cut).toEqual(['large', 'a', 'b']);
  go('third large');
  wait('d', KIB);
  wait('fourth large', 4 * MIB);
  expect(cut).toEqual(['large', 'a', 'b']);
});

test('nobody is cut off for one that alone is larger than all the room', () => {
  const { cut, wait } = rig(1, 4 * MIB + BLOCK);
  wait('a', 4 * MIB);
  wait('too large', 4 * MIB + 1);
  expect(cut).toEqual([]);
  wait('b', 4 * MIB);
  expect(cut).toEqual(['too large', 'a']);
});

test('the caller whose answers hold most loses one before others, and then the one that has waited longest', () => {
  const { cut, wait } = rig(4);
  wait('waits long', KIB, 'anna');
  for (const name of ['1', '2', '3']) wait(name, KIB, 'bob');
  wait('4', KIB, 'bob');
  expect(cut).toEqual(['1']);
  wait('new', KIB, 'carl');
  expect(cut).toEqual(['1', '2']);
});

/** What one reader gets of an answer, piece by piece. */
function reading(unread: UnreadAnswers, caller: string, chunks: readonly Uint8Array<ArrayBuffer>[]) {
  let cuts = 0;
  async function* given(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    yield* chunks;
  }
  const stop = (): void => undefined;
  const body = byteStream(given(), { stop, unread, caller, cut: () => void (cuts += 1) });
  return { reader: body.getReader(), cuts: () => cuts };
}

test('what is read at once is handed on in pieces of at most 64 KiB, byte for byte', async () => {
  const sizes = [1, 0, 64 * KIB, 64 * KIB + 1, 200 * KIB + 5];
  const chunks = sizes.map((size) => Uint8Array.from({ length: size }, (_, i) => (i * 7919 + size) % 256));
  const { reader } = reading(new UnreadAnswers(), 'anna', chunks);
  const pieces: Uint8Array[] = [];
  for (let next = await reader.read(); next.value !== undefined; next = await reader.read())
    pieces.push(next.value);
  expect(Math.max(...pieces.map(({ byteLength }) => byteLength))).toBe(64 * KIB);
  expect(Math.min(...pieces.map(({ byteLength }) => byteLength))).toBeGreaterThan(0);
  expect(Buffer.concat(pieces).equals(Buffer.concat(chunks))).toBe(true);
});

test('who reads a large piece slowly is seen to read: another who does not is cut off', async () => {
  const unread = new UnreadAnswers(2 * (MIB + BLOCK));
  const chunk = [new Uint8Array(MIB)];
  const slow = reading(unread, 'anna', chunk);
  const idle = reading(unread, 'bob', chunk);
  const other = reading(unread, 'carl', chunk);
  await slow.reader.read();
  await idle.reader.read();
  await slow.reader.read();
  await other.reader.read();
  expect([slow.cuts(), idle.cuts(), other.cuts()]).toEqual([0, 1, 0]);
});

test('a connection whose answer nobody reads is reset where others come, and what made the answer is stopped', async () => {
  const unread = new UnreadAnswers(2 * (BLOCK + 64 * KIB));
  const stopped: number[] = [];
  let next = 0;
  let onStop = (): void => undefined;
  const firstStopped = new Promise<void>((resolve) => void (onStop = resolve));
  const server = await listen({
    app: {
      smallBodies: new SmallBodies(() => undefined),
      routes: [],
      mounted: [],
      close: () => undefined,
      fetch: async (_request, { transfer }) => {
        const number = next++;
        const stop = (): void => {
          stopped.push(number);
          onStop();
        };
        return new Response(byteStream(endless(), { stop, unread, caller: 'anna', cut: transfer?.cut }));
      },
    },
    host: '127.0.0.1',
    port: 0,
    clock: new SystemClock(),
  });
  onTestFinished(() => server.close());
  // In turn, so that the first is the one that has waited longest; none of them reads.
  for (let i = 0; i < 3; i++) {
    const socket = connect(server.port, '127.0.0.1').on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    // One that is only looked at takes no more than fits into its buffer.
    await new Promise((resolve) => void socket.once('readable', resolve));
  }
  await firstStopped;
  expect(stopped).toEqual([0]);
});

async function* endless(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (;;) yield new Uint8Array(64 * KIB);
}
