import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { SlowBodies, Transfer } from '../../src/http/slow-bodies.ts';
import { ManualClock } from '../support/manual-clock.ts';

const KIB = 1024;

/** A connection with a request in it, whose body is on its way; looked at as long as the clock moves. */
function rig() {
  const clock = new ManualClock();
  const bodies = new SlowBodies(clock);
  const socket = new Socket();
  onTestFinished(() => void socket.destroy());
  let bytesRead = 0;
  let cuts = 0;
  socket.write = () => true;
  socket.destroySoon = () => void (cuts += 1);
  Object.defineProperty(socket, 'bytesRead', { get: () => bytesRead });
  bodies.add(socket);
  bodies.start();
  const transfer = bodies.of(socket);
  if (transfer === undefined) throw new Error('the connection is not known');
  const begin = (): IncomingMessage => {
    const incoming = new IncomingMessage(socket);
    transfer.begin(incoming, new ServerResponse(incoming));
    return incoming;
  };
  /** `bytes` come in each second. */
  const pass = async (seconds: number, bytes: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      bytesRead += bytes;
      await clock.advance(1_000);
    }
  };
  return { socket, transfer, begin, pass, cuts: () => cuts };
}

/** So many connections with a body that does not come on; each that was told of its end, and each that was broken off. */
function crowd(count: number) {
  const clock = new ManualClock();
  const bodies = new SlowBodies(clock);
  const told: Socket[] = [];
  const broken: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = new Socket();
    onTestFinished(() => void socket.destroy());
    socket.write = () => true;
    socket.destroySoon = () => void told.push(socket);
    socket.once('close', () => broken.push(socket));
    bodies.add(socket);
    const incoming = new IncomingMessage(socket);
    bodies.of(socket)?.begin(incoming, new ServerResponse(incoming));
  }
  bodies.start();
  onTestFinished(() => bodies.stop());
  return { clock, bodies, told, broken };
}

test('a body that may take long goes on as long as 30 KiB of it come in 30 s, and no longer', async () => {
  const { transfer, begin, pass, cuts } = rig();
  begin();
  transfer.lengthen();
  await pass(600, 2 * KIB);
  expect(cuts()).toBe(0);
  // One byte at a time, with which a known sender could hold a place for ever.
  await pass(14, 1);
  expect(cuts()).toBe(0);
  await pass(30, 1);
  expect(cuts()).toBe(1);
});

test('any other body has 30 s, however fast it comes', async () => {
  const { begin, pass, cuts } = rig();
  begin();
  await pass(32, 2 * KIB);
  expect(cuts()).toBe(1);
});

test('a sender that waits for our disk is not cut off: what it sent has not been read yet', async () => {
  const { transfer, begin, pass, cuts } = rig();
  const incoming = begin();
  transfer.lengthen();
  incoming.push('x');
  await pass(120, 0);
  expect(cuts()).toBe(0);
  incoming.read();
  await pass(32, 0);
  expect(cuts()).toBe(1);
});

test('the end of one request takes no time from the next in the same connection', async () => {
  const { transfer, begin, pass, cuts } = rig();
  begin();
  const end = transfer.lengthen();
  begin();
  const endNext = transfer.lengthen();
  end();
  await pass(60, 2 * KIB);
  expect(cuts()).toBe(0);
  endNext();
  await pass(32, 2 * KIB);
  expect(cuts()).toBe(1);
});

test('a connection whose other end does not read that it was cut off is gone two seconds later', async () => {
  const { socket, transfer, begin, pass, cuts } = rig();
  begin();
  transfer.lengthen();
  await pass(32, 0);
  expect([cuts(), socket.destroyed]).toEqual([1, false]);
  await pass(2, 0);
  expect([cuts(), socket.destroyed]).toEqual([1, true]);
});

test('where thousands are cut off at a time, others get their turn in between', async () => {
  const { clock, told } = crowd(250);
  const seen = new Set<number>();
  const turn = (): void => {
    seen.add(told.length);
    if (told.length < 250) setImmediate(turn);
  };
  setImmediate(turn);
  await clock.advance(32_000);
  await expect.poll(() => told.length).toBe(250);
  expect([...seen]).toEqual(expect.arrayContaining([100, 200]));
});

test('the next look comes two seconds after the last was told, and breaks off each that is still there', async () => {
  const { clock, told, broken } = crowd(250);
  await clock.advance(30_000);
  // Until its first `await`: the turn of the look itself.
  const rest = clock.advance(2_000);
  expect([told.length, clock.pending]).toEqual([100, 0]);
  await rest;
  expect([told.length, new Set(told).size, broken.length, clock.pending]).toEqual([250, 250, 0, 1]);
  await clock.advance(2_000);
  await expect.poll(() => broken.length).toBe(250);
  expect(told).toHaveLength(250);
});

test('stopped while it cuts off, it looks no more', async () => {
  const { clock, bodies, told } = crowd(150);
  await clock.advance(30_000);
  const rest = clock.advance(2_000);
  bodies.stop();
  await rest;
  expect([told.length, clock.pending]).toEqual([100, 0]);
});

test('a connection whose request was answered between the look and its end is left open', () => {
  const socket = new Socket();
  onTestFinished(() => void socket.destroy());
  let cuts = 0;
  socket.destroySoon = () => void (cuts += 1);
  const transfer = new Transfer(socket);
  const incoming = new IncomingMessage(socket);
  transfer.begin(incoming, new ServerResponse(incoming));
  for (let i = 0; i < 15; i++) expect(transfer.look(socket)).toBe(false);
  expect(transfer.look(socket)).toBe(true);
  incoming.complete = true;
  transfer.answered(incoming);
  transfer.end(socket);
  expect([cuts, socket.destroyed]).toEqual([0, false]);
});

test('a request that was answered is not kept, unless its body is still on its way', async () => {
  const { transfer, begin, pass, cuts } = rig();
  const answered = begin();
  answered.complete = true;
  transfer.answered(answered);
  await pass(60, 0);
  expect(cuts()).toBe(0);
  const early = begin();
  transfer.answered(early);
  await pass(32, 0);
  expect(cuts()).toBe(1);
});

test('the answer to one request says nothing of the next one in the same connection', async () => {
  const { transfer, begin, pass, cuts } = rig();
  const first = begin();
  first.complete = true;
  begin();
  transfer.answered(first);
  await pass(32, 0);
  expect(cuts()).toBe(1);
});
