import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, LookupFunction } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isPublicAddress } from '../../src/lib/addresses.ts';
import { AddressRefused, filteredFetch } from '../../src/lib/filtered-fetch.ts';

/** One listener on each loopback address, at the same port, that counts whoever gets through. */
let port = 0;
let hits = 0;
let redirectTo = '';
const servers: Server[] = [];

async function listen(host: string, at: number): Promise<number> {
  const server = createServer((request, response) => {
    hits += 1;
    const location = redirectTo === '' ? {} : { location: redirectTo };
    response.writeHead(redirectTo === '' ? 200 : 307, location);
    response.end(`${request.method} ${request.url}`);
  });
  servers.push(server);
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(at, host, resolve));
  return (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  port = await listen('127.0.0.1', 0);
  // A machine without IPv6 has nothing there to reach.
  await listen('::1', port).catch(() => servers.pop());
});
afterAll(() => servers.forEach((server) => server.close()));
beforeEach(() => {
  hits = 0;
  redirectTo = '';
});

/** Names that a resolver of ours answers, as a hostile name server would. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  'loopback.example': ['127.0.0.1'],
  'loopback6.example': ['::1'],
  'mapped.example': ['::ffff:127.0.0.1'],
  'both.example': ['127.0.0.1', '::1'],
  'any.example': ['0.0.0.0'],
  'any6.example': ['::'],
  'private.example': ['10.0.0.1', '192.168.0.1'],
  'metadata.example': ['169.254.169.254'],
  'nat64.example': ['64:ff9b::7f00:1'],
  'sixtofour.example': ['2002:7f00:1::'],
};

const answerWith = (answers: (host: string) => readonly string[]): LookupFunction =>
  ((host, _options, done) => {
    const found = answers(host).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    if (found.length > 0) done(null, found);
    else done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }), []);
  }) satisfies LookupFunction;

const words = (text: string): string[] => text.trim().split(/\s+/);
const HOSTS: readonly string[] = [
  // IPv4 in every spelling that URLs know.
  words(`
    127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1
    0177.0.0.1 017700000001 127.0.0.1. 0x7f.1 127.0.0.2 127.255.255.254
    127.000.000.001 0 0.0.0.0 0x0 ①②⑦.⓪.⓪.① １２７.０.０.１
    127。0。0。1 %31%32%37.0.0.1`),
  // Of networks that are nobody's business.
  words(`
    10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255
    169.254.169.254 169.254.0.1 100.64.0.1 100.127.255.255 192.0.0.1 192.0.2.1
    198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1
    255.255.255.255`),
  // IPv6, and IPv4 inside of it.
  words(`
    [::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [0::ffff:127.0.0.1]
    [::127.0.0.1] [::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2001::1]
    [fe80::1] [febf::1] [fc00::1] [fd12:3456::1] [ff02::1] [2001:db8::1]
    [100::1] [::ffff:10.0.0.1] [::ffff:169.254.169.254] [fec0::1] [::ffff:0:127.0.0.1]`),
  // Names that the system itself knows.
  words('localhost LOCALHOST'),
].flat();

describe('no URL leads to this machine or its networks', () => {
  const fetch = filteredFetch({ allowed: isPublicAddress });
  const named = filteredFetch({ allowed: isPublicAddress, lookup: answerWith((host) => NAMES[host] ?? []) });

  it('has seventy of them', () =>
    expect(HOSTS.length + Object.keys(NAMES).length).toBeGreaterThanOrEqual(70));

  it.each(HOSTS)('http://%s', async (host) => {
    const error = await fetch(`http://${host}:${port}/`, { method: 'POST', body: 'x' }).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(AddressRefused);
    expect(hits).toBe(0);
  });

  it.each(Object.keys(NAMES))('http://%s, by its addresses', async (host) => {
    const error = await named(`http://${host}:${port}/`).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(AddressRefused);
    expect(hits).toBe(0);
  });

  it('refuses an address that a name has only at the second look, and connects to what it judged', async () => {
    let looks = 0;
    // Nobody listens at the first.
    const rebinding = answerWith(() => (looks++ === 0 ? ['127.0.0.3'] : ['127.0.0.1']));
    const seen: string[] = [];
    const open = filteredFetch({
      allowed: (address) => seen.push(address) > 0 && address !== '127.0.0.1',
      lookup: rebinding,
    });
    await expect(open(`http://rebind.example:${port}/`)).rejects.toThrow('ECONNREFUSED');
    expect([looks, seen, hits]).toEqual([1, ['127.0.0.3'], 0]);
    await expect(open(`http://rebind.example:${port}/`)).rejects.toThrow(AddressRefused);
    expect(hits).toBe(0);
  });

  it('follows no redirect, wherever it leads', async () => {
    const open = filteredFetch({ allowed: () => true });
    redirectTo = `http://127.0.0.1:${port}/second`;
    const answer = await open(`http://127.0.0.1:${port}/first`, { redirect: 'manual' });
    expect([answer.status, answer.headers.get('location'), hits]).toEqual([307, redirectTo, 1]);
    await answer.body?.cancel();
    await expect(open(`http://127.0.0.1:${port}/first`)).rejects.toThrow('not followed');
    expect(hits).toBe(2);
  });

  it('asks for no scheme but http and https', async () => {
    for (const url of ['file:///etc/passwd', 'ftp://127.0.0.1/', 'data:text/plain,x', 'gopher://127.0.0.1/'])
      await expect(filteredFetch({ allowed: () => true })(url)).rejects.toThrow('neither https nor http');
  });
});

describe('what is no answer', () => {
  /** A server that says this to whoever calls, and says it again as long as it is heard. */
  async function saying(text: string, again = false): Promise<{ port: number; close: () => void }> {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      const say = (): void => {
        if (socket.destroyed) return;
        socket.write(text);
        if (again) setImmediate(say);
      };
      socket.once('data', say);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
  }
  const open = filteredFetch({ allowed: () => true });

  it.each([
    ['with its headers', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tls\r\n\r\n'],
    ['without them', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ])('is another protocol: an error at once, %s', async (_, text) => {
    const { port: at, close } = await saying(text);
    await expect(open(`http://127.0.0.1:${at}/`, { method: 'POST', body: 'x' })).rejects.toThrow(
      /^it answered (?:101, for another protocol that nobody asked for|with the status 101, which HTTP does not know)$/,
    );
    close();
  });

  it.each([100, 102, 103])('are %i without an end: an error', async (status) => {
    const { port: at, close } = await saying(`HTTP/1.1 ${status} Wait\r\n\r\n`, true);
    await expect(open(`http://127.0.0.1:${at}/`)).rejects.toThrow('interim answers');
    close();
  });

  it('may come before one', async () => {
    const hint = 'HTTP/1.1 103 Early Hints\r\n\r\n';
    const { port: at, close } = await saying(
      `HTTP/1.1 100 Continue\r\n\r\n${hint}${hint}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok`,
    );
    const answer = await open(`http://127.0.0.1:${at}/`);
    expect([answer.status, await answer.text()]).toEqual([200, 'ok']);
    close();
  });
});

describe('what may be reached', () => {
  it('is reached, with what is sent and answered', async () => {
    const lookup = answerWith(() => ['10.0.0.1', '127.0.0.1']);
    const open = filteredFetch({ allowed: (address) => address === '127.0.0.1', lookup });
    const answer = await open(`http://some.example:${port}/path?q=1`, { method: 'PUT', body: 'x' });
    expect([answer.status, await answer.text(), hits]).toEqual([200, 'PUT /path?q=1', 1]);
  });

  it('is told of what does not resolve, and ends with its signal', async () => {
    const open = filteredFetch({ allowed: () => true, lookup: answerWith(() => []) });
    await expect(open('http://nowhere.example/')).rejects.toThrow('ENOTFOUND');
    const signal = AbortSignal.abort(new Error('no more'));
    await expect(open(`http://127.0.0.1:${port}/`, { signal })).rejects.toThrow(/abort|no more/);
    expect(hits).toBe(0);
  });
});
