import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/** The built product, called as its users call it; what is in the container is told by the container. */
const MIB = 1024 * 1024;
const TOKEN = 'a'.repeat(32);
const run = promisify(execFile);
const base = mkdtempSync(join(tmpdir(), 'tappet-e2e-body-'));
let gateway: GatewayProcess | undefined;
afterEach(() => gateway?.stop());
afterAll(() => rmSync(base, { recursive: true, force: true }));

function start(name: string, image: string, docker: string): GatewayProcess {
  const job = {
    image,
    command: ['sh', '-c', 'sha256sum < /in/film; stat -c %a /in/film'],
    memory: '32Mi',
    cpu: 0.1,
    inputs: [{ from: 'event.body', to: '/in/film' }],
  };
  const source = { kind: 'webhook', auth: { bearer: { token: { env: 'FILM_TOKEN' } } }, body: 'file' };
  gateway = new GatewayProcess({
    dir: join(base, name),
    config: { jobs: { sum: job }, triggers: { film: { source, run: { job: 'sum' } } } },
    env: { FILM_TOKEN: TOKEN, DOCKER_HOST: docker },
  });
  return gateway;
}
const filesOf = ({ dataDir }: GatewayProcess): string[] => readdirSync(join(dataDir, 'bodies'));

/** Sends the file with curl; what curl says of it. */
async function curl(url: string, file: string, key: string): Promise<{ status: number; body: JsonObject }> {
  const { stdout } = await run('curl', [
    '-sS',
    '-X',
    'POST',
    '-T',
    file,
    '-w',
    '\n%{http_code}',
    `${url}/hooks/film`,
    '-H',
    `authorization: Bearer ${TOKEN}`,
    '-H',
    `idempotency-key: ${key}`,
    '-H',
    'content-type: video/mp4',
  ]);
  const [body = '', status = ''] = stdout.split('\n');
  return { status: Number(status), body: JSON.parse(body) as JsonObject };
}

describe('a body of 64 MiB', { timeout: 120_000 }, () => {
  it('is in the container byte for byte, once, however often it is sent', async () => {
    const tappet = start('sum', TEST_IMAGE, await engineHost());
    await tappet.start();
    const bytes = randomBytes(64 * MIB);
    const file = join(base, 'film.mp4');
    writeFileSync(file, bytes);
    const first = await curl(tappet.url, file, 'k');
    expect(first).toMatchObject({ status: 202, body: { duplicate: false } });
    const uid = String(first.body['event']);
    expect(filesOf(tappet)).toEqual([uid]);
    expect(await curl(tappet.url, file, 'k')).toMatchObject({
      status: 202,
      body: { duplicate: true, event: uid },
    });
    expect(filesOf(tappet)).toEqual([uid]);

    const [execution = ''] = first.body['executions'] as string[];
    const path = `/api/v1/executions/${execution}`;
    const state = await tappet.until(path, (answer) =>
      answer['completionTime'] === null ? undefined : answer['state'],
    );
    expect(state).toBe('SUCCEEDED');
    const log = await tappet.api('GET', `${path}/tasks/0/logs`);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(log.text).toContain(`${sha256}  -`);
    const event = await tappet.api('GET', `/api/v1/events/${uid}`);
    expect(JSON.stringify(event.json())).toContain(
      `"body":{"type":"video/mp4","size":${bytes.length},"sha256":"${sha256}"}`,
    );

    writeFileSync(file, 'another film');
    expect(await curl(tappet.url, file, 'k')).toMatchObject({ status: 422, body: { code: 'ID_REUSED' } });
    expect(filesOf(tappet)).toEqual([uid]);
  });
});

/** Sends so many bytes, as fast as they are taken; `onPiece` hears of each that went out. */
function pour(
  url: string,
  bytes: number,
  onPiece: (sent: number) => void = () => undefined,
): Promise<number> {
  const piece = randomBytes(MIB);
  return new Promise((resolve, reject) => {
    const call = request(`${url}/hooks/film`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-length': bytes },
    });
    call.on('response', (response) => resolve(response.resume().statusCode ?? 0));
    call.on('error', reject);
    let sent = 0;
    const more = (): void => {
      while (sent < bytes) {
        sent += piece.length;
        onPiece(sent);
        if (!call.write(piece)) return void call.once('drain', more);
      }
      call.end();
    };
    more();
  });
}

/** kB, by the kernel. */
const memory = (pid: number, what: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`${what}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

describe('without an engine', { timeout: 120_000 }, () => {
  it('a body of 300 MiB costs the gateway no memory to speak of', async () => {
    const tappet = start('memory', 'nothing:1', 'unix:///nowhere/docker.sock');
    await tappet.start();
    expect(await pour(tappet.url, 10 * MIB)).toBe(202);
    const before = memory(tappet.pid, 'VmRSS');
    expect(await pour(tappet.url, 300 * MIB)).toBe(202);
    const more = memory(tappet.pid, 'VmHWM') - before;
    expect(more, 'MiB more at its highest').toBeLessThan(100 * 1024);
  });

  it('a gateway that is killed in the middle has stored nothing, and takes the same call again', async () => {
    const tappet = start('killed', 'nothing:1', 'unix:///nowhere/docker.sock');
    await tappet.start();
    const broken = pour(tappet.url, 100 * MIB, (sent) => {
      if (sent === 50 * MIB) tappet.signal('SIGKILL');
    });
    await expect(broken).rejects.toThrow(/ECONNRESET|EPIPE|socket hang up/);
    await tappet.ended();
    expect(filesOf(tappet)).toEqual([expect.stringMatching(/\.part$/)]);
    await tappet.start();
    expect(await tappet.list('/api/v1/events', 'events')).toEqual([]);
    expect(await pour(tappet.url, 100 * MIB)).toBe(202);
    const [event] = await tappet.list('/api/v1/events', 'events');
    expect(filesOf(tappet).filter((name) => !name.endsWith('.part'))).toEqual([event?.['uid']]);
  });
});
