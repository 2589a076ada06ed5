import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { GatewayAddress } from '../../src/lib/gateway-address.ts';
import { eventually } from '../support/chaos-rounds.ts';

const CLI = join(import.meta.dirname, '../../dist/src/cli.js');
const CONFIG = {
  jobs: { none: { image: 'none:1' } },
  triggers: { in: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'none' } } },
};
const base = mkdtempSync(join(tmpdir(), 'tappet-own-log-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));

describe('the gateway’s own log', () => {
  let gateway: ChildProcess | undefined;
  afterEach(() => gateway?.kill('SIGKILL'));

  function serve(name: string, stderr: number | 'pipe'): { dataDir: string; config: string } {
    const config = join(base, `${name}.json`);
    const dataDir = join(base, name);
    writeFileSync(config, JSON.stringify(CONFIG));
    const words = [CLI, 'serve', '-c', config, '--data-dir', dataDir, '--port', '0'];
    const env = { ...process.env, DOCKER_HOST: 'unix:///nowhere/docker.sock' };
    gateway = spawn(process.execPath, words, { env, stdio: ['ignore', 'ignore', stderr] });
    return { dataDir, config };
  }

  /**
   * It takes an event, says something of a broken configuration, takes another event, and ends as asked: both answers, and
   * how it ended.
   */
  async function used({ dataDir, config }: ReturnType<typeof serve>): Promise<unknown[]> {
    const { url } = await eventually('the gateway listens', () => addressIn(dataDir));
    const { status: first } = await fetch(`${url}/hooks/in`, { method: 'POST' });
    writeFileSync(config, '{');
    gateway?.kill('SIGHUP');
    const authorization = `Bearer ${readFileSync(join(dataDir, 'token'), 'utf8').trim()}`;
    await eventually('the configuration was refused', async () => {
      const status = await fetch(`${url}/api/v1/status`, { headers: { authorization } });
      const { config: read } = (await status.json()) as { config: { state: string } };
      return read.state === 'invalid' ? true : undefined;
    });
    const { status: second } = await fetch(`${url}/hooks/in`, { method: 'POST' });
    gateway?.kill('SIGTERM');
    return [first, second, ...((await once(gateway ?? process, 'exit')) as unknown[])];
  }

  it('may be on a full disk, from the first line on', async () => {
    const full = openSync('/dev/full', 'w');
    const started = serve('full', full);
    closeSync(full);
    expect(await used(started)).toEqual([202, 202, 0, null]);
  });

  it('may lose whoever reads it', async () => {
    const started = serve('unread', 'pipe');
    gateway?.stderr?.once('data', () => gateway?.stderr?.destroy());
    expect(await used(started)).toEqual([202, 202, 0, null]);
  });
});

function addressIn(dataDir: string): GatewayAddress | undefined {
  try {
    return JSON.parse(readFileSync(join(dataDir, 'server.json'), 'utf8')) as GatewayAddress;
  } catch {
    return undefined;
  }
}
