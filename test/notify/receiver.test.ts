import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { filteredFetch } from '../../src/lib/filtered-fetch.ts';
import { isPublicAddress } from '../../src/lib/addresses.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { receiverUrlProblem } from '../../src/notify/receiver-url.ts';
import { signingKey } from '../../src/notify/standard-webhook.ts';
import { FAILURES, NotifyRig, SECRET } from '../support/notify-rig.ts';

/** A receiver as somebody would write it: Standard Webhooks' own library checks what comes. */
const received: { payload: unknown; headers: Record<string, string> }[] = [];
let refuse = 0;
let server: Server;
let url = '';
let rig: NotifyRig;

beforeEach(async () => {
  received.length = 0;
  refuse = 0;
  server = createServer((request, response) => {
    void textOf(request).then((body) => {
      const headers = request.headers as Record<string, string>;
      received.push({ payload: new Webhook(SECRET).verify(body, headers), headers });
      response.writeHead(refuse-- > 0 ? 503 : 204, { 'retry-after': '0' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  rig = await new NotifyRig().open();
});
afterEach(async () => {
  await rig.close();
  await new Promise((resolve) => server.close(resolve));
});

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** The sender as the gateway makes it: the machine's clock, the network's filter. */
const sender = () =>
  rig.sender({
    clock: new SystemClock(),
    fetch: filteredFetch({ allowed: isPublicAddress }),
    fetchAnywhere: filteredFetch({ allowed: () => true }),
  });

describe('a real receiver', () => {
  // The sender's clock is the machine's: what the store dates must not be years before it.
  beforeEach(() => rig.clock.set(Date.now()));

  it('verifies each message with the library of Standard Webhooks', async () => {
    rig.receiver('ops', { url, allowHttp: true, allowPrivateAddresses: true });
    const failed = await rig.run(1, FAILURES);
    const back = await rig.run(0, FAILURES);
    await sender();
    await vi.waitFor(() => expect(received).toHaveLength(2));
    expect(received.map(({ payload }) => payload)).toMatchObject([
      { type: 'dev.tappet.execution.v1.failed', data: { execution: failed, state: 'FAILED' } },
      { type: 'dev.tappet.execution.v1.recovered', data: { execution: back, state: 'SUCCEEDED' } },
    ]);
    const ids = (await rig.rows()).map(({ id }) => id);
    expect(received.map(({ headers }) => headers['webhook-id'])).toEqual(ids);
  });

  it('is not reached where private addresses are not allowed, whatever the name', async () => {
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '2130706433']) {
      const target = new URL(url);
      target.hostname = host;
      rig.receiver('ops', { url: target.href, allowHttp: true });
      await rig.run(1, FAILURES, `job-${host.replaceAll(/\W/g, '')}`);
    }
    await sender();
    await vi.waitFor(async () =>
      expect((await rig.rows()).every(({ lastError }) => lastError !== null)).toBe(true),
    );
    expect((await rig.rows())[0]?.lastError).toContain('on the public Internet');
    expect(received).toEqual([]);
  });
});

describe('what may stand in a configuration', () => {
  const problem = (text: string, over = {}): string | undefined =>
    receiverUrlProblem({ url: text, allowHttp: false, allowPrivateAddresses: false, ...over });

  it('is https to a public address, unless more is allowed', () => {
    expect(problem('https://example.com/hook')).toBeUndefined();
    expect(problem('https://93.184.216.34/hook')).toBeUndefined();
    expect(problem('http://example.com/hook')).toContain('allowHttp');
    expect(problem('http://example.com/hook', { allowHttp: true })).toBeUndefined();
    expect(problem('https://127.0.0.1/')).toContain('allowPrivateAddresses');
    expect(problem('https://[::ffff:10.0.0.1]/')).toContain('allowPrivateAddresses');
    expect(problem('https://0x7f000001/')).toContain('leads to 127.0.0.1');
    expect(problem('https://127.0.0.1/', { allowPrivateAddresses: true })).toBeUndefined();
    expect(problem('https://me:secret@example.com/')).toContain('user name or a password');
    expect(problem('ftp://example.com/')).toContain('https://');
    expect(problem('example.com')).toContain('must be an address');
  });

  it('is a secret of 24 to 64 bytes, as Standard Webhooks writes it', () => {
    const of = (bytes: number): string => `whsec_${Buffer.alloc(bytes, 1).toString('base64')}`;
    for (const right of [SECRET, of(24), of(64)]) expect(signingKey(right)).toBeDefined();
    for (const wrong of ['', 'whsec_', of(23), of(65), SECRET.slice(6), `${SECRET} `, 'whsec_not base64!'])
      expect(signingKey(wrong)).toBeUndefined();
  });
});
