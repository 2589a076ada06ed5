// @ts-check
// Real object stores for tests, demo and benchmarks: throw-away servers on loopback, one process each.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureMinio, ensureSeaweedfs } from './object-store-programs.mjs';
import { endsWithUs } from './ends-with-us.mjs';
import { tail } from './run.mjs';
import { SetupError } from './say.mjs';

export { ensureMinio, ensureSeaweedfs, findMinio, MINIO_VERSION } from './object-store-programs.mjs';

const READY_MS = 60_000;
const STOP_MS = 10_000;
const HOST = '127.0.0.1';

/**
 * A running store. `stop` ends it and removes its folder, where it made that itself; `kill` is a power cut, what it had
 * stored stays; `restart` ends it (SIGTERM unless named) and starts it at the same address with what it has stored.
 * @typedef {object} ObjectStoreServer
 * @property {string} url
 * @property {string} accessKey
 * @property {string} secretKey
 * @property {string} dir
 * @property {string} log path of what it wrote
 * @property {() => number | undefined} pid
 * @property {() => Promise<void>} stop
 * @property {() => Promise<void>} kill
 * @property {(signal?: NodeJS.Signals) => Promise<void>} restart
 */

/**
 * Where MinIO sends notifications. With `queueDir` (absolute) it keeps those that were not taken. The bucket's rule
 * names it `arn:minio:sqs::<id>:webhook`.
 * @typedef {{ id: string, url: string, token?: string, queueDir?: string }} WebhookTarget
 */

/** @typedef {{ accessKey: string, secretKey: string }} Keys */

/** For servers that nobody but a test knows of. */
const TEST_KEYS = { accessKey: 'testaccess', secretKey: 'testsecret' };

/**
 * @param {{ webhook?: readonly WebhookTarget[], port?: number, dir?: string, env?: Readonly<Record<string, string>>, certs?: string, keys?: Keys, ownSession?: boolean }} [options]
 * `dir`: kept after `stop`; `env`: variables of the server (`MINIO_API_SYNC_EVENTS`); `certs`: folder with public.crt
 * and private.key, then it speaks TLS; `ownSession`: its share of the cores is that of a service, whatever we run beside it
 * @returns {Promise<ObjectStoreServer>}
 */
export async function startMinio({
  webhook = [],
  port,
  dir,
  env = {},
  certs,
  keys = TEST_KEYS,
  ownSession = false,
} = {}) {
  const { path } = await ensureMinio();
  const { accessKey, secretKey } = keys;
  /** @type {Record<string, string>} */
  const settings = {
    MINIO_ROOT_USER: accessKey,
    MINIO_ROOT_PASSWORD: secretKey,
    // It would ask the maker's server for news, and open a console.
    MINIO_UPDATE: 'off',
    MINIO_CALLHOME_ENABLE: 'off',
    MINIO_BROWSER: 'off',
    ...Object.assign({}, ...webhook.map(targetSettings)),
    ...env,
  };
  return startServer('minio', { port, dir }, (at) => {
    const args = ['server', '--quiet', '--anonymous', '--address', `${HOST}:${at.port}`];
    const url = `${certs === undefined ? 'http' : 'https'}://${HOST}:${at.port}`;
    return {
      url,
      accessKey,
      secretKey,
      program: path,
      args: [...args, ...(certs === undefined ? [] : ['--certs-dir', certs]), join(at.dir, 'data')],
      env: { ...withoutMinio(process.env), ...settings },
      ownSession,
      // Not `live`: for a tenth of a second after it the rules of the buckets are not loaded, and events are lost.
      health: certs === undefined ? `${url}/minio/health/cluster` : undefined,
    };
  });
}

/** @param {WebhookTarget} target */
function targetSettings({ id, url, token, queueDir }) {
  return {
    [`MINIO_NOTIFY_WEBHOOK_ENABLE_${id}`]: 'on',
    [`MINIO_NOTIFY_WEBHOOK_ENDPOINT_${id}`]: url,
    ...(token === undefined ? {} : { [`MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_${id}`]: token }),
    ...(queueDir === undefined ? {} : { [`MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_${id}`]: queueDir }),
  };
}

/**
 * The user's own settings of a MinIO must not reach ours.
 * @param {NodeJS.ProcessEnv} env
 */
function withoutMinio(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('MINIO_')));
}

/** It listens on this many ports from its first on, and on as many again ten above. */
const SEAWEEDFS_PORTS = 5;

/**
 * @param {{ port?: number, dir?: string, keys?: Keys }} [options]
 * @returns {Promise<ObjectStoreServer>}
 */
export async function startSeaweedfs({ port, dir, keys = TEST_KEYS } = {}) {
  const program = await ensureSeaweedfs();
  const { accessKey, secretKey } = keys;
  const base = port ?? (await freePortBlock());
  const server = await startServer('seaweedfs', { port: base, dir }, (at) => {
    const identity = {
      name: 'test',
      credentials: [{ accessKey, secretKey }],
      actions: ['Admin', 'Read', 'Write', 'List', 'Tagging'],
    };
    writeFileSync(join(at.dir, 's3.json'), JSON.stringify({ identities: [identity] }));
    return {
      url: `http://${HOST}:${at.port}`,
      accessKey,
      secretKey,
      program,
      args: seaweedfsArgs(at.port, at.dir),
      env: { ...process.env, HOME: at.dir },
      health: `http://${HOST}:${at.port}/healthz`,
    };
  });
  const stop = async () => {
    await server.stop();
    // It puts its sockets there whatever one says.
    for (let i = 10; i < 10 + SEAWEEDFS_PORTS; i++) {
      for (const part of ['s3', 'filer', 'master', 'volume', 'admin']) {
        rmSync(`/tmp/seaweedfs-${part}-grpc-${base + i}.sock`, { force: true });
      }
    }
  };
  return { ...server, stop };
}

/**
 * @param {number} s3
 * @param {string} dir
 */
function seaweedfsArgs(s3, dir) {
  const services = ['s3', 'filer', 'master', 'volume', 'admin'];
  const ports = services.flatMap((name, i) => [
    `-${name}.port=${s3 + i}`,
    `-${name}.port.grpc=${s3 + i + 10}`,
  ]);
  return [
    '-logtostderr=true',
    'mini',
    `-dir=${join(dir, 'data')}`,
    `-ip=${HOST}`,
    `-ip.bind=${HOST}`,
    ...ports,
    // Its own default is to report to its maker, and to serve more than S3.
    '-master.telemetry=false',
    '-admin.ui=false',
    '-webdav=false',
    '-s3.port.iceberg=0',
    '-s3.port.lance=0',
    '-master.volumeSizeLimitMB=64',
    '-volume.preStopSeconds=0',
    `-s3.config=${join(dir, 's3.json')}`,
    `-filer.localSocket=${join(dir, 'filer.sock')}`,
    `-s3.localSocket=${join(dir, 's3.sock')}`,
  ];
}

// ---- processes -----------------------------------------------------------------------------------------------------

/**
 * @typedef {object} Launch
 * @property {string} url
 * @property {string} accessKey
 * @property {string} secretKey
 * @property {string} program
 * @property {readonly string[]} args
 * @property {NodeJS.ProcessEnv} env
 * @property {string | undefined} health answers 200 when it is ready; undefined = when the port is open
 * @property {boolean} [ownSession]
 */

/**
 * @param {string} name
 * @param {{ port: number | undefined, dir: string | undefined }} wanted
 * @param {(at: { port: number, dir: string }) => Launch} launchAt
 * @returns {Promise<ObjectStoreServer>}
 */
async function startServer(name, wanted, launchAt) {
  const dir = wanted.dir ?? mkdtempSync(join(tmpdir(), `tappet-${name}-`));
  mkdirSync(join(dir, 'data'), { recursive: true });
  const log = join(dir, `${name}.log`);
  const launch = launchAt({ port: wanted.port ?? (await freePort()), dir });
  let child = await start(launch, dir, log);
  const end = async (/** @type {NodeJS.Signals} */ signal) => endChild(child, signal);
  return {
    url: launch.url,
    accessKey: launch.accessKey,
    secretKey: launch.secretKey,
    dir,
    log,
    pid: () => child.pid,
    kill: () => end('SIGKILL'),
    stop: async () => {
      await end('SIGTERM');
      if (wanted.dir === undefined) rmSync(dir, { recursive: true, force: true });
    },
    restart: async (signal = 'SIGTERM') => {
      await end(signal);
      child = await start(launch, dir, log);
    },
  };
}

/**
 * @param {Launch} launch
 * @param {string} cwd
 * @param {string} log
 */
async function start({ program, args, env, url, health, ownSession = false }, cwd, log) {
  const out = openSync(log, 'a');
  const child = spawn(...endsWithUs(program, args), {
    cwd,
    env,
    stdio: ['ignore', out, out],
    detached: ownSession,
  });
  closeSync(out);
  const atExit = () => child.kill('SIGKILL');
  process.once('exit', atExit);
  child.once('exit', () => process.off('exit', atExit));
  let trouble = '';
  child.on('error', (error) => (trouble = error.message));
  const until = Date.now() + READY_MS;
  while (Date.now() < until && trouble === '' && child.exitCode === null && child.signalCode === null) {
    if (await answers(url, health)) return child;
    await sleep(50);
  }
  await endChild(child, 'SIGKILL');
  const last = tail(readFileSync(log, 'utf8'), 5);
  throw new SetupError(`${program} does not serve at ${url}: ${trouble}\n${last}`);
}

/**
 * @param {string} url
 * @param {string | undefined} health
 */
async function answers(url, health) {
  if (health === undefined) return !(await isFree(Number(new URL(url).port)));
  try {
    return (await fetch(health, { signal: AbortSignal.timeout(2_000) })).status === 200;
  } catch {
    return false;
  }
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
async function endChild(child, signal) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(timer);
}

// ---- ports ---------------------------------------------------------------------------------------------------------

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, HOST, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** @param {number} port */
export function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });
}

/**
 * Whether SeaweedFS can have its ports from this one on.
 * @param {number} base
 */
export async function seaweedfsPortsFree(base) {
  const ports = Array.from({ length: SEAWEEDFS_PORTS }, (_, n) => [base + n, base + n + 10]).flat();
  return (await Promise.all(ports.map(isFree))).every(Boolean);
}

/** The first of twenty ports of which those that SeaweedFS takes are free; below those that clones and kernels give out. */
async function freePortBlock() {
  const first = process.pid % 350;
  for (let i = 0; i < 350; i++) {
    const base = 12_000 + ((first + i) % 350) * 20;
    if (await seaweedfsPortsFree(base)) return base;
  }
  throw new SetupError('No ten free ports between 12000 and 19000 for SeaweedFS.');
}
