import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { engineRequest, importImage, pushImage } from './engine.ts';

export interface TestRegistry {
  /** `127.0.0.1:PORT`: the engine takes the loopback without TLS. */
  readonly host: string;
  close(): Promise<void>;
}

/** The one account of a registry with `account: true`. */
export const ACCOUNT = { username: 'ann', password: 'letmein' } as const;
/** Of that password; bcrypt is all that the registry reads. */
const HASH = '$2b$04$8BHR2sJ79WD12hHg68vEj.KBsUrdbJBT345WdTV3kO.t107HHceNu';

/** Debian's docker-registry on a free port of the loopback, empty. With `account` it lets nobody else in. */
export async function testRegistry({ account = false } = {}): Promise<TestRegistry> {
  const dir = await mkdtemp(join(tmpdir(), 'tpt-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const config = join(dir, 'config.yml');
  const storage = `storage:\n  filesystem:\n    rootdirectory: ${join(dir, 'data')}\n`;
  const htpasswd = join(dir, 'htpasswd');
  await writeFile(htpasswd, `${ACCOUNT.username}:${HASH}\n`);
  const auth = account ? `auth:\n  htpasswd:\n    realm: test\n    path: ${htpasswd}\n` : '';
  await writeFile(config, `version: 0.1\nlog:\n  level: error\n${storage}http:\n  addr: ${host}\n${auth}`);
  const daemon = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const failed = once(daemon, 'error').then(([error]) => {
    throw new Error('These tests need Debian’s package docker-registry', { cause: error });
  });
  await Promise.race([failed, answers(host)]);
  const close = async () => {
    const ended = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    await ended;
    await rm(dir, { recursive: true });
  };
  return { host, close };
}

/**
 * Another image under this name, on the engine and at the registry that it begins with, as nobody has made it before.
 * `mark`: what its `/etc/mark` says, some 400 KB that do not get much smaller on their way.
 */
export async function publishImage(
  endpoint: EngineEndpoint,
  name: string,
  account?: object,
): Promise<{ readonly digest: string; readonly mark: string }> {
  const mark = randomBytes(300_000).toString('base64');
  await importImage(endpoint, name, { 'etc/mark': mark });
  await pushImage(endpoint, name, account);
  const { body } = await engineRequest(endpoint, 'GET', `/v1.41/images/${name}/json`);
  return { digest: (JSON.parse(body) as { Id: string }).Id, mark };
}

/**
 * Of the requests that came to a registry, those that each pull makes; an engine may still have the manifest, which it
 * asks for by its digest, from a pull before.
 */
export function pullsOf(requests: readonly string[]): string[] {
  return requests.filter((one) => !/^GET .*\/manifests\/sha256:/.test(one)).sort();
}

/** A registry that does as `listener` says: what a real one does not do on demand. */
export async function fakeRegistry(listener: RequestListener): Promise<TestRegistry> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const close = async () => {
    server.closeAllConnections();
    server.close();
  };
  return { host: `127.0.0.1:${port}`, close };
}

async function freePort(): Promise<number> {
  const registry = await fakeRegistry(() => {});
  await registry.close();
  return Number(registry.host.split(':')[1]);
}

async function answers(host: string): Promise<void> {
  const signal = AbortSignal.timeout(20_000);
  while (!signal.aborted) {
    if (await reached(`http://${host}/v2/`)) return;
    await setTimeout(50);
  }
  throw new Error(`the registry at ${host} did not answer`);
}

function reached(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 || response.statusCode === 401);
    });
    call.on('error', () => resolve(false));
    call.end();
  });
}
