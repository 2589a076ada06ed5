import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { calledByMany } from '../../scripts/lib/load-holding-rows.mjs';
import { LOAD_ROWS } from '../../scripts/lib/load-rows.mjs';
import { openedIn } from '../../scripts/lib/load-slow.mjs';
import { LIMIT, seeded, shuffled, smallestSeen, timesOf, welch } from '../../scripts/lib/load-timing.mjs';
import { quantile, watchProcess } from '../../scripts/lib/load-watch.mjs';
import { tempFolder } from '../support/temp-folder.ts';

const sorted = (values: readonly number[]): Float64Array => new Float64Array(values).sort();

/** `count` numbers between 10 and 11, some of them far above, as those of calls are. */
function calls(count: number, seed: number): Float64Array {
  const random = seeded(seed);
  return sorted(Array.from({ length: count }, () => 10 + random() + (random() < 0.02 ? 500 * random() : 0)));
}

describe('the comparison of times', () => {
  it('is Welch’s t, the largest of those without the slowest and of all', () => {
    // Of all: means 5 and 6.
    const all = welch(sorted([1, 2, 3, 4, 5, 6, 7, 8, 9]), sorted([2, 3, 4, 5, 6, 7, 8, 9, 10]));
    const [a, b] = [7.5 / 9, 7.5 / 9];
    expect(Math.abs(all.t)).toBeGreaterThanOrEqual(1 / Math.sqrt(a + b));
    // The slowest hide that one kind is later by 1: without them it shows.
    const fast = Array.from({ length: 100 }, (_, i) => i / 100);
    const slow = [500, 900, 100, 700];
    const later = fast.map((value) => value + 1);
    const compared = welch(sorted([...later, ...slow]), sorted([...fast, ...slow]));
    expect(compared.kept).toBeLessThan(1);
    expect(compared.t).toBeGreaterThan(20);
    expect(compared.difference).toBeGreaterThan(0);
  });

  it('does not see a difference where there is none, however often it looks', () => {
    const seen = Array.from({ length: 100 }, (_, i) => welch(calls(500, 2 * i), calls(500, 2 * i + 1)).t);
    expect(seen.filter((t) => Math.abs(t) >= LIMIT)).toEqual([]);
  });

  it('says how small a difference it would see: that one is seen nine times of ten, and a third of it is not', () => {
    const smallest = smallestSeen(calls(2000, 1), calls(2000, 2));
    expect(smallest).toBeGreaterThan(0.01);
    expect(smallest).toBeLessThan(0.2);
    const seenBy = (ms: number): number =>
      Array.from({ length: 40 }, (_, i) => {
        const later = calls(2000, 100 + 2 * i).map((value) => value + ms);
        return Math.abs(welch(later, calls(2000, 101 + 2 * i)).t) >= LIMIT;
      }).filter(Boolean).length;
    expect(seenBy(smallest)).toBeGreaterThanOrEqual(28);
    expect(seenBy(smallest / 3)).toBeLessThanOrEqual(12);
  });

  it('has as many calls of each kind, in an order that goes by the seed', () => {
    const order = shuffled(2, 500, seeded(7));
    expect(order.filter((kind) => kind === 1)).toHaveLength(500);
    expect(order).toHaveLength(1000);
    expect(shuffled(2, 500, seeded(7))).toEqual(order);
    expect(shuffled(2, 500, seeded(8))).not.toEqual(order);
    // Not one kind after the other: about half of all neighbours differ.
    const changes = order.filter((kind, i) => i > 0 && kind !== order[i - 1]).length;
    expect(changes).toBeGreaterThan(400);
    expect(changes).toBeLessThan(600);
  });

  it('sees a server that takes longer for one kind, and no other', async () => {
    const server = createServer((request, response) => {
      // More than a busy machine is late.
      setTimeout(
        () => response.writeHead(401, { 'content-length': 2 }).end('no'),
        request.url === '/slow' ? 25 : 0,
      );
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const get = (path: string): Buffer => Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const base = { port, count: 40, connections: 4, expected: 401, random: seeded(1), warmUp: 5 };
    const times = await timesOf({ ...base, requests: [get('/slow'), get('/')] });
    const [slow = new Float64Array(), fast = new Float64Array()] = times;
    expect([slow.length, fast.length]).toEqual([40, 40]);
    expect(welch(slow, fast).t).toBeGreaterThan(LIMIT);
    const wrong = timesOf({ ...base, expected: 200, requests: [get('/'), get('/')] });
    await expect(wrong).rejects.toThrow('a call was answered 401, not 200');
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  });
});

describe('the rows', () => {
  it('of slow senders count the connections that there were, by the last line of the account', () => {
    const head = 'Seconds,Closed,Pending,Connected,Service Available\n';
    expect(openedIn(`${head}0,0,1,0,2000\n1,3,1,1500,2000\n2,800,0,1200,2000\n`)).toBe(2000);
    expect(openedIn(head)).toBe(0);
    expect(openedIn('')).toBe(0);
  });

  it('of slow senders count the connections that the gateway has accepted', async () => {
    const program = `require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port); })`;
    const server = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void server.kill());
    const [port] = await once(server.stdout, 'data');
    const watch = await watchProcess({ pid: server.pid ?? 0, dir: tempFolder() });
    const sockets = Array.from({ length: 3 }, () => connect(Number(port), '127.0.0.1'));
    onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));
    // Longer than it takes until it looks again.
    await sleep(700);
    const { connections, mb } = await watch.stop();
    expect(connections.at(-1)).toBe(3);
    expect(mb).toBeGreaterThan(10);
  });

  it('end with an error where honest calls are not answered at all before the attack, or not in time', async () => {
    let heard = 0;
    const server = createServer((_request, response) => {
      heard += 1;
      // Each connection has one call at a time: the first of each are answered, and no more.
      if (heard <= 64) response.writeHead(202, { 'content-length': 2 }).end('{}');
    });
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(calledByMany(url, 1_000)).rejects.toThrow(
      '64 of 6,400 honest calls were answered within 1 s',
    );
    server.removeAllListeners('request').on('request', (request) => request.socket.destroy());
    await expect(calledByMany(url)).rejects.toThrow(/was closed without an answer|ECONNRESET/);
  });

  it('take the 99th of a hundred, and no lateness at all as the worst', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(quantile(hundred, 0.99)).toBe(100);
    expect(quantile(hundred, 0.5)).toBe(51);
    expect(quantile([], 0.99)).toBe(Infinity);
  });

  it('are told by docs/calls.md, each with its point', () => {
    const page = readFileSync('docs/calls.md', 'utf8').replaceAll(/ +/g, ' ');
    const told = Object.entries(LOAD_ROWS).filter(([name, { point }]) =>
      page.includes(`\n| ${point} | \`${name}\` | `),
    );
    expect(told.map(([name]) => name)).toEqual(Object.keys(LOAD_ROWS));
  });
});
