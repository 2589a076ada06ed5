import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { LOAD_ROWS } from '../../scripts/lib/load-rows.mjs';
import { openedIn } from '../../scripts/lib/load-slow.mjs';
import { LIMIT, compare, seeded, shuffled, welch } from '../../scripts/lib/load-timing.mjs';

describe('the comparison of times', () => {
  it('is Welch’s t, without the slowest tenth of both together', () => {
    const a = [1, 2, 3, 4, 5, 6, 7, 8, 9, 100];
    const b = [2, 3, 4, 5, 6, 7, 8, 9, 10, 100];
    const compared = welch(a, b);
    expect(compared).toMatchObject({
      a: { count: 9, mean: 5, variance: 7.5 },
      b: { count: 9, mean: 6, variance: 7.5 },
      croppedAboveMs: 100,
    });
    expect(compared.t).toBeCloseTo(-1 / Math.sqrt(15 / 9), 12);
    expect(welch([1, 2, 3, 4, 5], [1, 2, 3, 4, 9]).t).toBeCloseTo(0.5 / Math.sqrt(2.5 / 5 + 5 / 3 / 4), 12);
  });

  it('has as many calls of each kind, in an order that goes by the seed', () => {
    const order = shuffled(500, seeded(7));
    expect(order.filter((kind) => kind === 1)).toHaveLength(500);
    expect(order).toHaveLength(1000);
    expect(shuffled(500, seeded(7))).toEqual(order);
    expect(shuffled(500, seeded(8))).not.toEqual(order);
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
    const slow = await compare({ ...base, requests: [get('/slow'), get('/')] });
    expect(slow.t).toBeGreaterThan(LIMIT);
    // 80, without the slowest tenth.
    expect(slow.a.count + slow.b.count).toBe(72);
    const wrong = compare({ ...base, expected: 200, requests: [get('/'), get('/')] });
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

  it('are told by docs/calls.md, each with its point', () => {
    const page = readFileSync('docs/calls.md', 'utf8').replaceAll(/ +/g, ' ');
    const told = Object.entries(LOAD_ROWS).filter(([name, { point }]) =>
      page.includes(`\n| ${point} | \`${name}\` | `),
    );
    expect(told.map(([name]) => name)).toEqual(Object.keys(LOAD_ROWS));
  });
});
