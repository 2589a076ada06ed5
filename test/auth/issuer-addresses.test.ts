import { createServer, type Server } from 'node:http';
import type { AddressInfo, LookupFunction } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Issuers } from '../../src/auth/issuers.ts';
import { TappetError } from '../../src/core/errors.ts';
import { isPublicAddress } from '../../src/lib/addresses.ts';
import { filteredFetch } from '../../src/lib/filtered-fetch.ts';
import { FakeLog } from '../support/fake-log.ts';
import { issuerSpec } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { makeKey } from '../support/tokens.ts';

const key = makeKey('ES256', 'one');
const hits: string[] = [];
const servers: Server[] = [];
let port = 0;
/** Stands for a site on the Internet: the one loopback address that the tests let pass for public. */
const SITE = '127.0.0.9';
let sitePort = 0;
/** What the site answers. */
let answer: { status: number; headers?: Record<string, string>; body?: string } = { status: 404 };

async function listen(server: Server, host: string, at = 0): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  const inside = () =>
    createServer((request, response) => {
      hits.push(`${request.headers.host ?? ''}${request.url ?? ''}`);
      response.end(JSON.stringify({ keys: [key.jwk] }));
    });
  // On the same port of both, and of every address of this machine.
  port = await listen(inside(), '0.0.0.0');
  await listen(inside(), '::1', port).catch(() => undefined);
  const site = createServer((_request, response) => {
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  sitePort = await listen(site, SITE);
});
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
beforeEach(() => void (hits.length = 0));

/** A resolver that answers each name as listed, one answer after another. */
class Names {
  readonly asked: string[] = [];
  readonly #answers: Readonly<Record<string, readonly (readonly string[])[]>>;
  constructor(answers: Readonly<Record<string, readonly (readonly string[])[]>>) {
    this.#answers = answers;
  }
  readonly lookup: LookupFunction = (host, _options, done) => {
    const all = this.#answers[host] ?? [];
    const addresses = all[Math.min(this.asked.filter((one) => one === host).length, all.length - 1)];
    this.asked.push(host);
    if (addresses === undefined) {
      done(Object.assign(new Error(`ENOTFOUND ${host}`), { code: 'ENOTFOUND' }), []);
      return;
    }
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
}

const NAMES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  localhost: [['127.0.0.1', '::1']],
  'localhost.': [['127.0.0.1']],
  'loop.example': [['127.0.0.1']],
  'loop6.example': [['::1']],
  'mapped.example': [['::ffff:127.0.0.1']],
  'ten.example': [['10.0.0.1']],
  'lan.example': [['192.168.1.1', '172.16.0.1']],
  'metadata.google.internal': [['169.254.169.254']],
  'cgnat.example': [['100.64.0.1']],
  'ula.example': [['fd00::1']],
  'link.example': [['fe80::1']],
  'any.example': [['0.0.0.0']],
  'any6.example': [['::']],
  'nat64.example': [['64:ff9b::7f00:1']],
  '6to4.example': [['2002:7f00:1::1']],
  'multicast.example': [['224.0.0.1']],
  'both.example': [['10.0.0.1', '127.0.0.1', '::1']],
  'nobody.example': [[]],
  '127.0.0.1.nip.example': [['127.0.0.1']],
};

/** What reading the keys came to, as a caller's token would find it. */
async function read(jwks: string, names = new Names(NAMES), allowPrivateAddresses = false): Promise<string> {
  const allowed = (address: string): boolean => isPublicAddress(address) || address === SITE;
  const clock = new ManualClock();
  const issuers = new Issuers({
    specs: new Map([['main', issuerSpec({ jwks: { url: jwks }, allowHttp: true, allowPrivateAddresses })]]),
    fetch: filteredFetch({ allowed, lookup: names.lookup }),
    fetchAnywhere: filteredFetch({ allowed: () => true, lookup: names.lookup }),
    clock,
    log: new FakeLog(),
  });
  try {
    const { keys } = await issuers.get('main');
    const found = await keys.lookup('one', 'ES256');
    return found.state === 'unavailable' ? `unavailable: ${found.reason}` : found.state;
  } catch (error) {
    if (error instanceof TappetError) return `refused: ${error.message}`;
    throw error;
  } finally {
    await issuers.stop();
  }
}

const LITERALS = [
  ...'127.0.0.1 127.0.0.2 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001'.split(' '),
  ...'127.0.0.1. 0 0.0.0.0 0x0 10.0.0.1 10.1 172.16.0.1 172.31.255.255 192.168.0.1 3232235521'.split(' '),
  ...'169.254.169.254 0xa9fea9fe 2852039166 100.64.0.1 100.127.255.255 198.18.0.1 192.0.2.1'.split(' '),
  ...'224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 [::1] [::] [0:0:0:0:0:0:0:1]'.split(' '),
  ...'[::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1] [::127.0.0.1] [::7f00:1]'.split(' '),
  ...'[::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b:1::127.0.0.1] [2002:7f00:1::]'.split(' '),
  ...'[fe80::1] [fc00::1] [fd00:ec2::254] [ff02::1] [2001:db8::1] [2001:0:7f00:1::] [100::1]'.split(' '),
  ...'１２７.0.0.1 127。0。0。1 ①②⑦.0.0.1 %31%32%37.0.0.1'.split(' '),
];
const hosts = [...LITERALS, ...Object.keys(NAMES)];

describe('keys are not read from within, however that is written', () => {
  test('in at least 70 ways', () => {
    expect(hosts.length).toBeGreaterThanOrEqual(70);
  });
  test.each(hosts)('%s', async (host) => {
    expect(await read(`http://${host}:${port}/keys`)).toMatch(/^(unavailable|refused): /);
    expect(hits).toEqual([]);
  });
  test('a user name that looks like a host', async () => {
    expect(await read(`http://issuer.example@127.0.0.1:${port}/keys`)).toMatch(/^refused: .*user name/);
    expect(hits).toEqual([]);
  });
  test('the reason says which address it was', async () => {
    expect(await read(`http://loop.example:${port}/keys`)).toContain(
      'loop.example is 127.0.0.1, which is no address on the public Internet',
    );
  });
});

test('a name is looked up once: what it leads to afterwards does not count', async () => {
  const names = new Names({ 'rebind.example': [[SITE], ['127.0.0.1']] });
  answer = { status: 200, body: JSON.stringify({ keys: [key.jwk] }) };
  expect(await read(`http://rebind.example:${sitePort}/keys`, names)).toBe('found');
  expect(names.asked).toEqual(['rebind.example']);
  // The other way round, nothing is reached; and a public address beside a private one is the one that is used.
  const turned = new Names({ 'rebind.example': [['127.0.0.1'], [SITE]] });
  expect(await read(`http://rebind.example:${sitePort}/keys`, turned)).toMatch(/^unavailable/);
  const mixed = new Names({ 'mixed.example': [['127.0.0.1', SITE]] });
  expect(await read(`http://mixed.example:${sitePort}/keys`, mixed)).toBe('found');
  expect(hits).toEqual([]);
});

test.each([301, 302, 303, 307, 308])('a redirect (%i) to within is not followed', async (status) => {
  answer = { status, headers: { location: `http://127.0.0.1:${port}/keys` } };
  expect(await read(`http://${SITE}:${sitePort}/keys`)).toMatch(/^unavailable/);
  expect(hits).toEqual([]);
});

test('a discovery document that leads within is not followed', async () => {
  const issuer = `http://${SITE}:${sitePort}`;
  answer = { status: 200, body: JSON.stringify({ issuer, jwks_uri: `http://127.0.0.1:${port}/keys` }) };
  const allowed = (address: string): boolean => isPublicAddress(address) || address === SITE;
  const issuers = new Issuers({
    specs: new Map([['main', issuerSpec({ issuer, allowHttp: true })]]),
    fetch: filteredFetch({ allowed }),
    clock: new ManualClock(),
    log: new FakeLog(),
  });
  const { keys } = await issuers.get('main');
  expect(await keys.lookup('one', 'ES256')).toMatchObject({
    state: 'unavailable',
    reason: expect.stringContaining('no address on the public Internet'),
  });
  await issuers.stop();
  expect(hits).toEqual([]);
});

test('where private addresses are allowed, they are read', async () => {
  expect(await read(`http://127.0.0.1:${port}/keys`, new Names(NAMES), true)).toBe('found');
  expect(await read(`http://loop.example:${port}/keys`, new Names(NAMES), true)).toBe('found');
  expect(hits).toHaveLength(2);
});
