import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const PER_ADDRESS = 3;
const hook = (auth: unknown): JsonObject => ({
  source: { kind: 'webhook', auth: auth as JsonObject },
  when: 'false',
  run: { job: 'none' },
});
const configOf = (
  host: string,
  auths: Readonly<Record<string, unknown>>,
  server: JsonObject = {},
): JsonObject => ({
  server: { host, ...server },
  jobs: { none: { image: 'none:1' } },
  triggers: Object.fromEntries(Object.entries(auths).map(([name, auth]) => [name, hook(auth)])),
});

describe('a gateway that listens on IPv6', () => {
  let dir: string;
  let gateway: GatewayProcess;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'tappet-ipv6-'))));
  afterEach(async () => {
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const start = async (config: JsonObject, flags: readonly string[] = []): Promise<void> => {
    const env = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };
    gateway = new GatewayProcess({ dir, config, env, flags });
    await gateway.start();
  };
  const at = (host: string): string => `http://${host}:${new URL(gateway.url).port}`;
  const call = async (
    name: string,
    { from, base = gateway.url }: { from?: string; base?: string } = {},
  ): Promise<number> => {
    const headers = from === undefined ? {} : { 'x-forwarded-for': from };
    return (await fetch(`${base}/hooks/${name}`, { method: 'POST', headers })).status;
  };
  const cli = (...args: string[]): Promise<{ code: number; stdout: string }> => {
    const program = join(import.meta.dirname, '../../dist/src/cli.js');
    const env = { ...process.env, TAPPET_DATA_DIR: gateway.dataDir };
    return new Promise((resolve) => {
      execFile(process.execPath, [program, ...args], { env }, (error, stdout) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout }),
      );
    });
  };
  const refuses = (host: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(Number(new URL(gateway.url).port), host);
      socket.once('connect', () => resolve('connected'));
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    });

  it.each([
    ['server.host', '::1', []],
    ['--host', '127.0.0.1', ['--host', '::1']],
  ])('says so in brackets, is called there, and nowhere else (%s)', async (_, host, flags) => {
    // A webhook for anyone, which loopback allows.
    await start(configOf(host, { call: 'none' }), flags);
    expect(gateway.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
    expect(gateway.output).not.toContain('whoever reaches');
    expect(await call('call')).toBe(202);
    expect(await refuses('127.0.0.1')).toBe('ECONNREFUSED');
    const events = await gateway.list('/api/v1/events', 'events');
    expect(events).toHaveLength(1);
    const known = JSON.parse(readFileSync(join(gateway.dataDir, 'server.json'), 'utf8')) as JsonObject;
    expect(known['url']).toBe(gateway.url);
    // By that file, and by the address that it prints for a browser.
    expect(await cli('triggers', 'list')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('call') as unknown,
    });
    const { stdout } = await cli('link');
    expect(stdout.startsWith(`${gateway.url}/?code=`)).toBe(true);
    const page = await fetch(stdout.trim(), { redirect: 'manual' });
    expect(page.headers.get('set-cookie')).toContain('HttpOnly');
  });

  it.each(['::', '::ffff:0.0.0.0', 'fd00::1', '2001:db8::1'])(
    'has no webhook for anyone where that is %s, which other machines reach',
    async (host) => {
      await expect(start(configOf(host, { call: 'none' }))).rejects.toThrow(
        `lets in anyone ("auth: none"), and other machines reach ${host}: say who may call`,
      );
      // … nor for all of IPv6.
      await expect(start(configOf(host, { call: { addresses: ['::/0', '192.0.2.1'] } }))).rejects.toThrow(
        'and other machines reach',
      );
    },
  );

  it.each(['::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'])(
    'may have one on loopback, written %s',
    async (host) => {
      await start(configOf(host, { call: 'none' }));
      expect(await call('call')).toBe(202);
    },
  );

  it('counts an IPv6 network of 64 bits as one caller, and each IPv4 address by itself', async () => {
    const rateLimit = { requests: PER_ADDRESS, per: '1m' };
    await start(configOf('::1', { call: 'none' }, { rateLimit, trustedProxies: ['::1/128'] }));
    const statuses = async (addresses: readonly (string | undefined)[]): Promise<number[]> => {
      const found: number[] = [];
      for (const from of addresses) found.push(await call('call', from === undefined ? {} : { from }));
      return found;
    };
    const allowed = Array.from({ length: PER_ADDRESS }, () => 202);
    const same = [
      '2001:db8:7:8::1',
      '2001:DB8:7:8:ffff::2',
      '[2001:db8:7:8:1:2:3:4]:5123',
      '2001:db8:7:8::5',
    ];
    expect(await statuses(same)).toEqual([...allowed, 429]);
    expect(await statuses(['2001:db8:7:9::1', '2001:db8:8:8::1'])).toEqual([202, 202]);
    expect(await statuses(['192.0.2.1', '192.0.2.2', '::ffff:192.0.2.1', '192.0.2.1', '192.0.2.1'])).toEqual([
      202, 202, 202, 202, 429,
    ]);
    // The proxy itself, whom nobody sent.
    expect(await statuses([undefined, undefined, undefined, undefined])).toEqual([...allowed, 429]);
  });

  it('lets in the networks that are listed, whichever way an address is written', async () => {
    const auths = {
      net: { addresses: ['2001:db8:1::/48', 'fd00::/8', '192.0.2.0/24'] },
      here: { addresses: ['::1'] },
      both: { anyOf: [{ addresses: ['2001:db8:2::7'] }, { addresses: ['127.0.0.0/8'] }] },
    };
    await start(configOf('::1', auths, { trustedProxies: ['::1'] }));
    const table: readonly [string, string, number][] = [
      ['net', '2001:db8:1::1', 202],
      ['net', '2001:0DB8:0001:ffff:0:0:0:1', 202],
      ['net', 'fd12:3456::1', 202],
      ['net', '::ffff:192.0.2.77', 202],
      ['net', '::ffff:c000:24d', 202],
      ['net', '2001:db8:2::1', 401],
      ['net', '2001:db8:0:1::1', 401],
      ['net', 'fe80::1', 401],
      ['net', '::192.0.2.77', 401],
      ['net', '64:ff9b::192.0.2.77', 401],
      ['net', '192.0.3.1', 401],
      ['here', '2001:db8:1::1', 401],
      ['here', '127.0.0.1', 401],
      ['both', '2001:db8:2::7', 202],
      ['both', '2001:db8:2::8', 401],
      ['both', '127.0.0.1', 202],
    ];
    for (const [name, from, status] of table)
      expect({ name, from, status: await call(name, { from }) }).toEqual({ name, from, status });
  });

  it('knows its own machine by both kinds of addresses where it listens on all of them', async () => {
    const auths = { six: { addresses: ['::1'] }, four: { addresses: ['127.0.0.1'] } };
    await start(configOf('::', auths));
    expect(gateway.url).toMatch(/^http:\/\/\[::\]:\d+$/);
    const found = async (base: string): Promise<number[]> => [
      await call('six', { base }),
      await call('four', { base }),
    ];
    expect(await found(at('[::1]'))).toEqual([202, 401]);
    // IPv6 shows an IPv4 caller as ::ffff:127.0.0.1.
    expect(await found(at('127.0.0.1'))).toEqual([401, 202]);
    expect((await cli('link')).stdout.startsWith(at('[::1]'))).toBe(true);
  });
});
