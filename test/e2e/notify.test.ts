import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const SECRET = `whsec_${randomBytes(32).toString('base64')}`;

interface Received {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** A receiver in trouble answers 503, and what it was told counts all the same. */
const received: Received[] = [];
let inTrouble = true;
const receiver = createServer((request, response) => {
  void text(request).then((body) => {
    const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)] as const);
    received.push({ path: request.url ?? '', headers: Object.fromEntries(headers), body });
    response.writeHead(inTrouble ? 503 : 204).end();
  });
});
/** On this machine, where nobody said that messages may go. */
let strangers = 0;
const forbidden = createTcpServer((socket) => {
  strangers += 1;
  socket.destroy();
});
const portOf = async (server: Server): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};

describe('who is told of executions, by the product', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-notify-'));
  let gateway: GatewayProcess;
  beforeAll(async () => {
    const url = `http://127.0.0.1:${await portOf(receiver)}`;
    const secret = { env: 'RECEIVER_SECRET' };
    const own = { secret, allowHttp: true, allowPrivateAddresses: true };
    const job = { image: TEST_IMAGE, command: ['/bin/sh', '-c', 'exit $CODE'], env: { CODE: '3' } };
    const config = {
      server: { notify: { onFailure: ['ops', 'stranger'] } },
      notifications: {
        ops: { url: `${url}/ops`, ...own },
        done: { url: `${url}/done`, ...own },
        stranger: { url: `https://localhost:${await portOf(forbidden)}/`, secret },
      },
      jobs: { work: { ...job, maxRetries: 0, memory: '16Mi', notify: { onCompletion: ['done'] } } },
    };
    const env = { DOCKER_HOST: await engineHost(), RECEIVER_SECRET: SECRET };
    gateway = new GatewayProcess({ dir, config, env });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    receiver.close();
    forbidden.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const run = async (code: string): Promise<string> => {
    const answer = await gateway.api('POST', '/api/v1/jobs/work:run', { overrides: { env: { CODE: code } } });
    const name = String(answer.json()['name']);
    await gateway.until(`/api/v1/executions/${name}`, ({ completionTime }) => completionTime ?? undefined);
    return name;
  };
  /** As a receiver's library takes them; throws where a signature is wrong. */
  const taken = (path: string): { readonly id: string; readonly type: string; readonly data: JsonObject }[] =>
    received
      .filter((one) => one.path === path)
      .map(({ headers, body }) => {
        const message = new Webhook(SECRET).verify(body, headers) as JsonObject;
        return {
          id: String(headers['webhook-id']),
          type: String(message['type']).split('.').at(-1) ?? '',
          data: message['data'] as JsonObject,
        };
      });
  const ofName = (path: string, name: string) => taken(path).filter(({ data }) => data['execution'] === name);

  let failed: string;
  it('hears of a failure though it and the gateway were down, each try by one id', async () => {
    failed = await run('3');
    // Killed in the middle of a try, it is tried again a minute later.
    await gateway.until('/api/v1/notifications', ({ notifications }) => {
      const tried = (notifications as JsonObject[]).filter(({ lastError }) => lastError !== null);
      return tried.length === 3 ? true : undefined;
    });
    expect(ofName('/ops', failed)).toHaveLength(1);
    await gateway.kill();
    inTrouble = false;
    await gateway.start();
    await expect.poll(() => ofName('/ops', failed).length, { timeout: 30_000 }).toBe(2);
    const [first, second] = ofName('/ops', failed);
    expect(second).toEqual(first);
    expect(first).toMatchObject({
      type: 'failed',
      data: { job: 'work', state: 'FAILED', reason: 'NON_ZERO_EXIT_CODE' },
    });
  });

  it('hears of the recovery, and whoever wants it of each end, once', async () => {
    const recovered = await run('0');
    const [message] = await expect
      .poll(() => ofName('/ops', recovered), { timeout: 20_000 })
      .toHaveLength(1)
      .then(() => ofName('/ops', recovered));
    expect(message).toMatchObject({
      type: 'recovered',
      data: { state: 'SUCCEEDED', failed: { execution: failed } },
    });
    await expect.poll(() => ofName('/done', recovered).length, { timeout: 20_000 }).toBe(1);
    const ends = new Map(taken('/done').map(({ id, data }) => [id, data['execution']]));
    expect(ends.size).toBe(2);
    expect(new Set(ends.values())).toEqual(new Set([failed, recovered]));
  });

  it('tells nobody at an address of this machine that was not allowed, and says why', async () => {
    const { notifications } = (await gateway.api('GET', '/api/v1/notifications')).json();
    const ofStranger = (notifications as JsonObject[]).filter(({ receiver: name }) => name === 'stranger');
    expect(ofStranger).toMatchObject([{ state: 'PENDING' }, { state: 'PENDING' }]);
    expect(ofStranger.map(({ lastError }) => String(lastError)).join()).toMatch(/allowPrivateAddresses/);
    expect(strangers).toBe(0);
  });
});
