import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { listen } from '../../src/http/server.ts';
import { byteStream } from '../../src/http/streams.ts';
import { UnreadAnswers } from '../../src/http/unread-answers.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';

const KIB = 1024;
/** What is counted for an answer beside its piece. */
const BLOCK = 256 * KIB;

function rig(answers: number) {
  const unread = new UnreadAnswers(answers * (BLOCK + KIB));
  const cut: string[] = [];
  const named = new Map<string, object>();
  const of = (name: string): object => {
    const one = named.get(name) ?? {};
    named.set(name, one);
    return one;
  };
  return {
    cut,
    wait: (name: string, bytes = KIB) => unread.wait(of(name), bytes, () => cut.push(name)),
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

test('one piece that is larger than all the room is kept, by itself', () => {
  const { cut, wait } = rig(1);
  wait('a', 100 * BLOCK);
  expect(cut).toEqual([]);
  wait('b', 100 * BLOCK);
  expect(cut).toEqual(['a']);
});

test('a connection whose answer nobody reads is reset where others come, and what made the answer is stopped', async () => {
  const unread = new UnreadAnswers(2 * (BLOCK + 64 * KIB));
  const stopped: number[] = [];
  let next = 0;
  let onStop = (): void => undefined;
  const firstStopped = new Promise<void>((resolve) => void (onStop = resolve));
  const server = await listen({
    app: {
      routes: [],
      mounted: [],
      close: () => undefined,
      fetch: async (_request, { transfer }) => {
        const number = next++;
        const stop = (): void => {
          stopped.push(number);
          onStop();
        };
        return new Response(byteStream(endless(), { stop, unread, cut: transfer?.cut }));
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
