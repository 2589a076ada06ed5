// @ts-check
// The demo's own gateway and issuer: started as a user starts them, asked over the HTTP API.
import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeClone } from './clone.mjs';
import { atEnd } from './command.mjs';
import { callEngine, pingEngine } from './engine-api.mjs';
import { tail } from './run.mjs';
import { SetupError, root, say } from './say.mjs';

/**
 * @typedef {object} DemoGateway
 * @property {string} url
 * @property {string} issuer
 * @property {string} configFile relative to the checkout
 * @property {any} config as written
 * @property {{ client: string, hmac: string }} secrets made for this run
 * @property {string} tokenFile relative to the checkout
 * @property {(path: string) => Promise<any>} get the JSON of an API path, below /api/v1
 * @property {(path: string) => Promise<string>} text
 */

const EXAMPLE = 'config.example.json';
const DIR = '.tappet/demo';

/** @returns {Promise<DemoGateway>} */
export async function startDemoGateway() {
  mkdirSync(join(root, DIR), { recursive: true, mode: 0o700 });
  const { config, configFile } = await chooseConfig();
  const secrets = { client: randomBytes(16).toString('hex'), hmac: randomBytes(16).toString('hex') };
  const issuer = config.issuers.demo.issuer;
  await startProgram(
    'issuer',
    ['scripts/demo-issuer.mjs', issuer],
    { DEMO_CLIENT_SECRET: secrets.client },
    () => answersOk(`${issuer}/.well-known/openid-configuration`),
  );
  /** @type {{ instance?: string }} */
  const known = {};
  // Undone after the gateway's end, as it is said before its start. A gateway leaves running containers alone.
  atEnd(() => removeContainers(known.instance));
  const serverFile = join(root, DIR, 'server.json');
  rmSync(serverFile, { force: true });
  const serve = ['dist/src/cli.js', 'serve', '-c', configFile, '--data-dir', DIR];
  await startProgram('gateway', serve, { DEMO_HMAC_SECRET: secrets.hmac }, async () => {
    const url = readUrl(serverFile);
    return url !== undefined && answersOk(`${url}/livez`);
  });
  const url = readUrl(serverFile) ?? '';
  const tokenFile = join(DIR, 'token');
  const headers = { authorization: `Bearer ${readFileSync(join(root, tokenFile), 'utf8').trim()}` };
  const text = async (/** @type {string} */ path) => {
    const response = await fetch(`${url}/api/v1${path}`, { headers, signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
    return response.text();
  };
  const get = async (/** @type {string} */ path) => JSON.parse(await text(path));
  known.instance = (await get('/status')).instance;
  return { url, issuer, configFile, config, secrets, tokenFile, get, text };
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
 * The example itself where its two ports are free; else a copy with this clone's own ports.
 * @returns {Promise<{ config: any, configFile: string }>}
 */
async function chooseConfig() {
  const config = JSON.parse(readFileSync(join(root, EXAMPLE), 'utf8'));
  const issuer = new URL(config.issuers.demo.issuer);
  const port = config.server?.port ?? 8080;
  const taken = [];
  for (const wanted of [port, Number(issuer.port)]) if (!(await isFree(wanted))) taken.push(wanted);
  if (taken.length === 0) return { config, configFile: EXAMPLE };
  const { ports } = describeClone();
  config.server = { ...config.server, port: ports.gateway };
  config.issuers.demo.issuer = `http://127.0.0.1:${ports.issuer}`;
  delete config.$schema;
  const configFile = join(DIR, 'config.json');
  writeFileSync(join(root, configFile), JSON.stringify(config, null, 2));
  const which = taken.length === 1 ? `port ${taken[0]} is taken` : `ports ${taken.join(' and ')} are taken`;
  say(`demo: ${which} here: using a copy of ${EXAMPLE} with other ports (${configFile})`);
  return { config, configFile };
}

/** @param {number} port */
function isFree(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
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
