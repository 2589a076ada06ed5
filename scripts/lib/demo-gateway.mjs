// @ts-check
// The demo's own store, issuer and gateway: started as a user starts them, asked over the HTTP API.
import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeClone } from './clone.mjs';
import { atEnd } from './command.mjs';
import { startDemoStore } from './demo-store.mjs';
import { isFree } from './object-store.mjs';
import { callEngine, pingEngine } from './engine-api.mjs';
import { tail } from './run.mjs';
import { SetupError, root, say } from './say.mjs';

/**
 * @typedef {object} DemoGateway
 * @property {string} url
 * @property {string} issuer
 * @property {string} clientSecret made for this run
 * @property {import('./demo-store.mjs').DemoStore} store
 * @property {string} inbox the folder that is watched
 * @property {string} configFile relative to the checkout
 * @property {string} tokenFile relative to the checkout
 * @property {(path: string) => Promise<any>} get the JSON of an API path, below /api/v1
 * @property {(path: string) => Promise<string>} text
 * @property {() => Promise<string>} link opens the page in a browser, once
 */

const EXAMPLE = 'config.example.json';
const DIR = '.tappet/demo';
const HOST = '127.0.0.1';

/**
 * `prepare` runs when the store is there and nothing has started that uses it.
 * @param {{ store: import('./demo-store.mjs').StoreKind, prepare: (store: DemoGateway['store']) => Promise<void> }} options
 * @returns {Promise<DemoGateway>}
 */
export async function startDemoGateway({ store: kind, prepare }) {
  mkdirSync(join(root, DIR), { recursive: true, mode: 0o700 });
  const example = JSON.parse(readFileSync(join(root, EXAMPLE), 'utf8'));
  const { gatewayPort, issuerPort } = await choosePorts(example);
  const token = randomBytes(16).toString('hex');
  const store = await startDemoStore({
    kind,
    port: Number(new URL(example.connections.store.endpoint).port),
    notify: { url: `http://${HOST}:${gatewayPort}/notify/storage/store`, token },
  });
  await prepare(store);
  const issuer = `http://${HOST}:${issuerPort}`;
  const clientSecret = randomBytes(16).toString('hex');
  await startProgram(
    'issuer',
    ['scripts/demo-issuer.mjs', issuer],
    { DEMO_CLIENT_SECRET: clientSecret },
    () => answersOk(`${issuer}/.well-known/openid-configuration`),
  );
  const inbox = join(root, 'inbox');
  mkdirSync(inbox, { recursive: true });
  const configFile = configFor(example, { gatewayPort, issuer, endpoint: store.url, inbox });
  const env = { S3_ACCESS_KEY: store.accessKey, S3_SECRET_KEY: store.secretKey, NOTIFY_TOKEN: token };
  /** @type {{ instance?: string }} */
  const known = {};
  // Undone after the gateway's end, as it is said before its start. A gateway leaves running containers alone.
  atEnd(() => removeContainers(known.instance));
  const api = apiOf(await startGateway(configFile, env));
  known.instance = (await api.get('/status')).instance;
  return { issuer, clientSecret, store, inbox, configFile, ...api };
}

/**
 * @param {string} configFile
 * @param {NodeJS.ProcessEnv} env
 */
async function startGateway(configFile, env) {
  const serverFile = join(root, DIR, 'server.json');
  rmSync(serverFile, { force: true });
  const serve = ['dist/src/cli.js', 'serve', '-c', configFile, '--data-dir', DIR];
  await startProgram('gateway', serve, env, async () => {
    const url = readUrl(serverFile);
    return url !== undefined && answersOk(`${url}/livez`);
  });
  return readUrl(serverFile) ?? '';
}

/** @param {string} url */
function apiOf(url) {
  const tokenFile = join(DIR, 'token');
  const headers = { authorization: `Bearer ${readFileSync(join(root, tokenFile), 'utf8').trim()}` };
  const text = async (/** @type {string} */ path, method = 'GET') => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers,
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.text();
  };
  const get = async (/** @type {string} */ path) => JSON.parse(await text(path));
  const link = async () => `${url}/?code=${JSON.parse(await text('/links', 'POST')).code}`;
  return { url, tokenFile, get, text, link };
}

/**
 * Takes the demo's containers and its network off an engine that goes on without it.
 * @param {string | undefined} instance
 */
async function removeContainers(instance) {
  const dockerHost = process.env['DOCKER_HOST'];
  if (instance === undefined || dockerHost === undefined) return;
  const version = await pingEngine(dockerHost);
  if (version === undefined) return;
  const filters = encodeURIComponent(JSON.stringify({ label: [`dev.tappet.instance=${instance}`] }));
  const list = await callEngine(dockerHost, `${version}/containers/json?all=1&filters=${filters}`);
  /** @type {{ Id: string }[]} */
  const containers = JSON.parse(list.text);
  for (const { Id } of containers) {
    await callEngine(dockerHost, `${version}/containers/${Id}?force=1&v=1`, { method: 'DELETE' });
  }
  await callEngine(dockerHost, `${version}/networks/${instance}`, { method: 'DELETE' });
}

/**
 * The ports of the example where they are free, else this clone's own.
 * @param {any} example
 */
async function choosePorts(example) {
  const { ports } = describeClone();
  const gateway = example.server?.port ?? 8080;
  const issuer = Number(new URL(example.issuers.shop.issuer).port);
  return {
    gatewayPort: (await isFree(gateway)) ? gateway : ports.gateway,
    issuerPort: (await isFree(issuer)) ? issuer : ports.issuer,
  };
}

/**
 * The example itself where everything is at the addresses that it says; else a copy with the real ones.
 * @param {any} example
 * @param {{ gatewayPort: number, issuer: string, endpoint: string, inbox: string }} real
 */
function configFor(example, { gatewayPort, issuer, endpoint, inbox }) {
  const { store } = example.connections;
  const { shop } = example.issuers;
  const port = example.server?.port ?? 8080;
  if (port === gatewayPort && shop.issuer === issuer && store.endpoint === endpoint) return EXAMPLE;
  shop.issuer = issuer;
  store.endpoint = endpoint;
  example.server = { ...example.server, port: gatewayPort };
  example.triggers['inbox-folder'].source.path = inbox;
  delete example.$schema;
  const copy = join(DIR, 'config.json');
  writeFileSync(join(root, copy), JSON.stringify(example, null, 2));
  say(`demo: some ports of ${EXAMPLE} are taken here: using a copy with others (${copy})`);
  return copy;
}

/**
 * Starts a Node program with its output in a file, waits until it is ready, and stops it when the demo ends.
 * @param {string} name
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @param {() => Promise<boolean>} ready
 */
async function startProgram(name, args, env, ready) {
  const file = join(root, DIR, `${name}.log`);
  const log = openSync(file, 'w');
  const options = {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: /** @type {const} */ (['ignore', log, log]),
  };
  // A session of its own: a Ctrl-C reaches it through us, after what it is doing has been shown.
  const child = spawn(process.execPath, args, { ...options, stdio: [...options.stdio], detached: true });
  closeSync(log);
  let ended = false;
  const exited = new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
    child.on('exit', () => ((ended = true), resolve()));
    child.on('error', () => ((ended = true), resolve()));
  });
  atEnd(async () => {
    child.kill('SIGTERM');
    await Promise.race([exited, sleep(10_000, undefined, { ref: false })]);
    if (!ended) child.kill('SIGKILL');
  });
  const until = Date.now() + 30_000;
  while (!(await ready())) {
    if (ended || Date.now() > until) {
      throw new SetupError(`The ${name} did not start (${file}):\n${tail(readFileSync(file, 'utf8'))}`);
    }
    await sleep(50);
  }
}

/** @param {string} url */
async function answersOk(url) {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false;
  }
}

/** @param {string} file */
function readUrl(file) {
  try {
    return /** @type {string} */ (JSON.parse(readFileSync(file, 'utf8')).url);
  } catch {
    return undefined;
  }
}
