import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { promisify } from 'node:util';
import { describeEndpoint, findEngine } from '../../src/runners/docker/find-engine.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';

/** What the tests run: one static program, with a link for each of its commands. */
export const TEST_IMAGE = 'tappet-test/tools:1';
const BUSYBOX = '/bin/busybox';

/** The engine that the test set-up started or found. Errors: where it looked, if there is none. */
export async function testEngine(): Promise<EngineEndpoint> {
  const found = await findEngine({ env: process.env });
  if (found.found) return found.endpoint;
  const places = found.tried.map(({ place, why }) => `  ${place}: ${why}`).join('\n');
  throw new Error(`These tests need a container engine (npm test starts one). Looked at:\n${places}`);
}

/** The name of the test image, made on the engine from the static busybox of this machine if it is not there. */
export async function testImage(endpoint: EngineEndpoint): Promise<string> {
  const there = await engineRequest(endpoint, 'GET', `/v1.41/images/${TEST_IMAGE}/json`);
  if (there.status !== 200) await importImage(endpoint, TEST_IMAGE);
  return TEST_IMAGE;
}

/** Makes an image of the static busybox under any name; `files` are added to it, and `changes` as in a Dockerfile. */
export async function importImage(
  endpoint: EngineEndpoint,
  name: string,
  files: Readonly<Record<string, string>> = {},
  changes: readonly string[] = [],
): Promise<void> {
  const colon = name.lastIndexOf(':');
  const query = new URLSearchParams({ fromSrc: '-', repo: name.slice(0, colon), tag: name.slice(colon + 1) });
  for (const change of changes) query.append('changes', change);
  const path = `/v1.41/images/create?${query.toString()}`;
  const answer = await engineRequest(endpoint, 'POST', path, await rootTar(files), 'application/x-tar');
  if (answer.status !== 200 || answer.body.includes('"error"')) {
    throw new Error(`The image ${name} could not be made: ${answer.body}`);
  }
  // Podman names what it imports `latest`, whatever was asked for.
  const target = new URLSearchParams({ repo: name.slice(0, colon), tag: name.slice(colon + 1) });
  const there = await engineRequest(endpoint, 'GET', `/v1.41/images/${name}/json`);
  if (there.status === 404) {
    await engineRequest(
      endpoint,
      'POST',
      `/v1.41/images/${name.slice(0, colon)}:latest/tag?${target.toString()}`,
    );
  }
}

/** Sends an image to the registry that its name begins with. */
export async function pushImage(endpoint: EngineEndpoint, name: string, account: object = {}): Promise<void> {
  const colon = name.lastIndexOf(':');
  const path = `/v1.41/images/${name.slice(0, colon)}/push?tag=${name.slice(colon + 1)}`;
  // The engine wants the header even where the registry wants no account.
  const auth = Buffer.from(JSON.stringify(account))
    .toString('base64')
    .replace(/\+/g, '-')
    .replace(/\//g, '_');
  const headers = { 'x-registry-auth': auth };
  const { body } = await engineRequest(endpoint, 'POST', path, undefined, undefined, headers);
  if (body.includes('"error"')) throw new Error(`push: ${body}`);
}

/** One call to the engine without product code. */
export function engineRequest(
  endpoint: EngineEndpoint,
  method: string,
  path: string,
  body?: Buffer | string,
  contentType = 'application/json',
  more: Readonly<Record<string, string>> = {},
): Promise<{ status: number; body: string }> {
  const where =
    endpoint.kind === 'unix' ? { socketPath: endpoint.path } : { host: endpoint.host, port: endpoint.port };
  const headers =
    body === undefined
      ? more
      : { ...more, 'content-type': contentType, 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const call = request({ ...where, method, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (text += part));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    call.on('error', (error) =>
      reject(new Error(`${describeEndpoint(endpoint)}: ${method} ${path}: ${error.message}`)),
    );
    call.end(body);
  });
}

async function rootTar(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const busybox = await readFile(BUSYBOX);
  const { stdout } = await promisify(execFile)(BUSYBOX, ['--list']);
  const commands = stdout.split('\n').filter((name) => name !== '' && name !== 'busybox');
  const passwd = 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/:/bin/sh\n';
  return Buffer.concat([
    ...['bin/', 'etc/', 'root/'].map((name) => tarEntry({ name, type: '5', mode: 0o755 })),
    tarEntry({ name: 'tmp/', type: '5', mode: 0o1777 }),
    tarEntry({ name: 'etc/passwd', type: '0', mode: 0o644, data: Buffer.from(passwd) }),
    tarEntry({ name: 'etc/group', type: '0', mode: 0o644, data: Buffer.from('root:x:0:\napp:x:1000:\n') }),
    tarEntry({ name: 'bin/busybox', type: '0', mode: 0o755, data: busybox }),
    ...commands.map((name) => tarEntry({ name: `bin/${name}`, type: '2', mode: 0o777, link: 'busybox' })),
    ...Object.entries(files).map(([name, text]) =>
      tarEntry({ name, type: '0', mode: 0o755, data: Buffer.from(text) }),
    ),
    Buffer.alloc(1024),
  ]);
}

interface TarEntry {
  readonly name: string;
  /** 0 file, 2 symbolic link, 5 folder. */
  readonly type: '0' | '2' | '5';
  readonly mode: number;
  readonly link?: string;
  readonly data?: Buffer;
}

function tarEntry({ name, type, mode, link = '', data = Buffer.alloc(0) }: TarEntry): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, length: number) => value.toString(8).padStart(length - 1, '0');
  header.write(name, 0, 100);
  header.write(octal(mode, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(data.length, 12), 124);
  header.write(octal(0, 12), 136);
  header.write('        ', 148);
  header.write(type, 156);
  header.write(link, 157, 100);
  header.write('ustar\u000000', 257);
  // The sum over the header, its own field counted as blanks.
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      7,
    )}\0 `,
    148,
  );
  const padding = Buffer.alloc((512 - (data.length % 512)) % 512);
  return Buffer.concat([header, data, padding]);
}
