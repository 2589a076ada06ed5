import { once } from 'node:events';
import { IncomingMessage } from 'node:http';
import { connect, Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { refusalTime } from '../../src/http/refusal-time.ts';
import { listen } from '../../src/http/server.ts';
import type { RunningServer } from '../../src/http/server.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';
import { ManualClock } from '../support/manual-clock.ts';

const AFTER_MS = 10;

function incoming(headers: Record<string, string>): IncomingMessage {
  return Object.assign(new IncomingMessage(new Socket()), { headers });
}

/** How long after `began` the refusal was told, in the time of `clock`. */
async function told(clock: ManualClock, began: number, reached: Promise<void>): Promise<number> {
  let at: number | undefined;
  void reached.then(() => (at = clock.now()));
  await clock.advance(0);
  for (let i = 0; at === undefined && i < 100; i++) await clock.advance(1);
  return (at ?? Infinity) - began;
}

describe('the time of a refusal', () => {
  test.each([0, 1, 7, AFTER_MS])('is the same where the check took %i ms', async (ms) => {
    const clock = new ManualClock();
    const request = incoming({ 'content-length': '3' });
    const refusal = refusalTime(request, clock);
    await clock.advance(25);
    const lastByte = clock.now();
    request.emit('end');
    await clock.advance(ms);
    expect(await told(clock, lastByte, refusal.reached())).toBe(Math.max(AFTER_MS, ms));
  });

  test.each([{}, { 'content-length': '0' }])(
    'counts from the headers where no body follows: %j',
    async (headers) => {
      const clock = new ManualClock();
      const began = clock.now();
      const refusal = refusalTime(incoming(headers), clock);
      await clock.advance(4);
      expect(await told(clock, began, refusal.reached())).toBe(AFTER_MS);
    },
  );

  test.each([4, 40])(
    'counts from the headers where nobody waited for the body, chunked or not, for %i ms',
    async (ms) => {
      for (const headers of [{ 'transfer-encoding': 'chunked' }, { 'content-length': '5' }]) {
        const clock = new ManualClock();
        const began = clock.now();
        const request = incoming(headers);
        const refusal = refusalTime(request, clock);
        await clock.advance(ms);
        const reached = refusal.reached();
        // What comes now was not waited for.
        request.emit('end');
        expect(await told(clock, began, reached)).toBe(Math.max(AFTER_MS, ms));
      }
    },
  );

  test('leaves no timer behind where the call is let in', () => {
    const clock = new ManualClock();
    const request = incoming({ 'content-length': '3' });
    const refusal = refusalTime(request, clock);
    request.emit('end');
    expect(clock.pending).toBe(1);
    refusal.cancel();
    expect(clock.pending).toBe(0);
  });
});

describe('over HTTP', () => {
  let server: RunningServer | undefined;
  afterEach(() => server?.close());

  /** The milliseconds from the last byte of a call to its answer, the byte being sent `laterMs` after the rest. */
  async function answered(
    port: number,
    head: string,
    laterMs: number,
  ): Promise<{ status: string; ms: number }> {
    const socket = connect(port, '127.0.0.1');
    socket.write(`${head}\r\nHost: x\r\nContent-Length: 2\r\n\r\n{`);
    await new Promise((resolve) => setTimeout(resolve, laterMs));
    const start = performance.now();
    socket.write('}');
    const [data] = (await once(socket, 'data')) as [Buffer];
    const ms = performance.now() - start;
    socket.destroy();
    return { status: data.toString('latin1').slice(9, 12), ms };
  }

  test('whoever is refused waits from its last byte on, on every path and in every spelling', async () => {
    const handle = async (name: string, request: Request): Promise<Response | undefined> => {
      if (name === 'none') return undefined;
      await request.arrayBuffer();
      return new Response(null, { status: name === 'open' ? 202 : 401 });
    };
    const { app } = createTestApp({ hooks: { handle } });
    const { port } = (server = await listen({ app, host: '127.0.0.1', port: 0, clock: new SystemClock() }));
    for (const path of ['/hooks/call', '/hooks/none', 'http://x/hooks/none', '/%68ooks/none']) {
      for (const laterMs of [1, 25]) {
        const { status, ms } = await answered(port, `POST ${path} HTTP/1.1`, laterMs);
        expect([path, status]).toEqual([path, '401']);
        // A timer counts from the beginning of its millisecond.
        expect(ms).toBeGreaterThan(AFTER_MS - 2);
      }
    }
    const fastest = [];
    for (let i = 0; i < 5; i++) fastest.push(await answered(port, 'POST /hooks/open HTTP/1.1', 1));
    expect(fastest.map(({ status }) => status)).toEqual(Array(5).fill('202'));
    expect(Math.min(...fastest.map(({ ms }) => ms))).toBeLessThan(AFTER_MS - 2);
    const authorization = `Authorization: Bearer ${ROOT_TOKEN}`;
    expect(await answered(port, `POST /api/v1/nothing HTTP/1.1\r\n${authorization}`, 1)).toMatchObject({
      status: '404',
    });
  });
});
