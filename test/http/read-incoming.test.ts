import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { readBody, readIncoming } from '../../src/http/body.ts';
import { TappetError } from '../../src/core/errors.ts';
import { heldBytes } from '../support/heap.ts';

const LIMIT = 1000;
const MIB = 1024 * 1024;

/** A request whose headers are there, and the connection by which its body can be sent. */
async function begun(headers: string): Promise<{ incoming: IncomingMessage; socket: Socket }> {
  const server = createServer();
  const requested = new Promise<IncomingMessage>((resolve) => void server.once('request', resolve));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  onTestFinished(() => {
    socket.destroy();
    server.close();
  });
  socket.write(`POST / HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`);
  return { incoming: await requested, socket };
}

test('a body comes in whole, and each piece is told of', async () => {
  const { incoming, socket } = await begun('Transfer-Encoding: chunked');
  let bytes = 0;
  const body = readIncoming(incoming, LIMIT, (more) => void (bytes += more));
  socket.write('3\r\nabc\r\n');
  socket.write('2\r\nde\r\n0\r\n\r\n');
  expect(Buffer.from(await body).toString()).toBe('abcde');
  expect(bytes).toBe(5);
});

test('one that is too large is refused as soon as it is, and one whose piece is refused with that', async () => {
  const large = await begun('Transfer-Encoding: chunked');
  const body = readIncoming(large.incoming, LIMIT, () => undefined);
  large.socket.write(`${(LIMIT + 1).toString(16)}\r\n${'x'.repeat(LIMIT + 1)}\r\n`);
  await expect(body).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  const refused = await begun('Content-Length: 5');
  refused.socket.write('abc');
  const why = new TappetError('STORE_UNAVAILABLE', 'no room');
  const none = readIncoming(refused.incoming, LIMIT, () => {
    throw why;
  });
  await expect(none).rejects.toBe(why);
});

test('one that breaks off is told of, also where that was before anybody read', async () => {
  const { incoming, socket } = await begun('Content-Length: 5');
  const body = readIncoming(incoming, LIMIT, () => undefined);
  socket.write('abc', () => socket.destroy());
  await expect(body).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  const gone = await begun('Content-Length: 5');
  const closed = new Promise((resolve) => void gone.incoming.once('close', resolve));
  gone.socket.destroy();
  await closed;
  await expect(readIncoming(gone.incoming, LIMIT, () => undefined)).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
  });
});

const ONES = 100_000;
/** What came stands in it once or twice; pieces by themselves would take some hundred bytes each. */
const ONES_HOLD = 3 * MIB;
const letter = (i: number): string => String.fromCharCode(97 + (i % 26));
const letters = (): string => Array.from({ length: ONES }, (_, i) => letter(i)).join('');

test(
  'a body that comes byte by byte takes memory by its bytes, not by its pieces',
  { timeout: 20_000 },
  async () => {
    const { incoming, socket } = await begun('Transfer-Encoding: chunked');
    const wire = Buffer.from(Array.from({ length: ONES }, (_, i) => `1\r\n${letter(i)}\r\n`).join(''));
    const before = heldBytes();
    let bytes = 0;
    let pieces = 0;
    let onAll = (): void => undefined;
    const all = new Promise<void>((resolve) => void (onAll = resolve));
    const body = readIncoming(incoming, MIB, (more) => {
      bytes += more;
      pieces += 1;
      if (bytes === ONES) onAll();
    });
    socket.write(wire);
    await all;
    expect(pieces).toBe(ONES);
    expect(heldBytes() - before).toBeLessThan(ONES_HOLD);
    socket.write('0\r\n\r\n');
    expect(Buffer.from(await body).toString()).toBe(letters());
  },
);

test('so does one that is read from a web stream', { timeout: 20_000 }, async () => {
  const before = heldBytes();
  let i = 0;
  let held = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (i < ONES) controller.enqueue(Buffer.from(letter(i++)));
        else {
          held = heldBytes() - before;
          controller.close();
        }
      },
    },
    { highWaterMark: 0 },
  );
  const request = new Request('http://x/', { method: 'POST', body: stream, duplex: 'half' });
  expect(Buffer.from(await readBody(request, MIB)).toString()).toBe(letters());
  expect(held).toBeLessThan(ONES_HOLD);
});
