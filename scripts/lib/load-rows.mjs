// @ts-check
// The rows of `npm run test:load`: each starts a gateway of its own, as a user starts it, and says whether what it is
// about held.
import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { scratch, startGateway, startProgram } from '../../bench/lib.mjs';
import { answersTo, garbled, sized, smuggled } from '../../test/support/hostile-requests.mjs';
import { LIMIT, compare, seeded } from './load-timing.mjs';
import { SLOW_WAYS, residentMb, slowly, startProbe, watchProcess } from './load-slow.mjs';
import { root } from './say.mjs';

/**
 * @typedef {{ short: boolean, seed: number, say: (text: string) => void }} RowOptions
 * @typedef {{ ok: boolean, text: string }} Outcome
 * @typedef {{ point: string, run: (options: RowOptions) => Promise<Outcome> }} LoadRow
 */

const SECRET = 'a secret of the load test, 32 byte';
const BODY = JSON.stringify({ id: 1, text: 'x'.repeat(200) });
const DIGEST = createHmac('sha256', SECRET).update(BODY).digest('hex');
/** Containers are not what this is about. */
const ENV = { DOCKER_HOST: 'unix:///nowhere/docker.sock', LOAD_SECRET: SECRET };
const MAX_BODY = 64 * 1024;
const CONFIG = {
  server: { maxBody: `${MAX_BODY / 1024}Ki` },
  jobs: { none: { image: 'none:1' } },
  triggers: {
    in: {
      source: { kind: 'webhook', auth: { hmac: { secret: { env: 'LOAD_SECRET' } } } },
      run: { job: 'none' },
    },
  },
};

/** @type {Record<string, LoadRow>} */
export const LOAD_ROWS = {
  'hmac-compare': {
    point: 'S7',
    run: timingRow(() => [call('in', almost(DIGEST)), call('in', farFrom(DIGEST))]),
  },
  'unknown-trigger': {
    point: 'S7',
    run: timingRow(() => [call('in', farFrom(DIGEST)), call('no', farFrom(DIGEST))]),
  },
  ...Object.fromEntries(Object.keys(SLOW_WAYS).map((way) => [way, { point: 'S8', run: slowRow(way) }])),
  'hostile-requests': { point: 'S8', run: hostileRow },
};

/**
 * @param {string} name of `LOAD_ROWS`
 * @param {RowOptions} options
 */
export async function runRow(name, options) {
  const row = LOAD_ROWS[name];
  if (row === undefined) throw new Error(`There is no row ${name}.`);
  return { point: row.point, ...(await row.run(options)) };
}

// ---- time ------------------------------------------------------------------------------------------------------------

const CONNECTIONS = 8;
const CALLS = 20_000;
const CALLS_SHORT = 2_500;

/**
 * @param {string} trigger
 * @param {string} digest
 */
function call(trigger, digest) {
  const head = [
    `POST /hooks/${trigger} HTTP/1.1`,
    'Host: gateway',
    'Content-Type: application/json',
    `X-Hub-Signature-256: sha256=${digest}`,
    `Content-Length: ${BODY.length}`,
  ];
  return Buffer.from([...head, '', BODY].join('\r\n'));
}

const other = (/** @type {string} */ digit) => (digit === '0' ? '1' : '0');
/** Right but for its last digit. */
const almost = (/** @type {string} */ digest) => digest.slice(0, -1) + other(digest.slice(-1));
/** Wrong from the first one on. */
const farFrom = (/** @type {string} */ digest) => digest.replaceAll(/./g, other);

/**
 * The gateway takes the same time for both; a program that does not is found out, by the same calls.
 * @param {() => readonly [Buffer, Buffer]} requests
 * @returns {LoadRow['run']}
 */
function timingRow(requests) {
  return async ({ short, seed, say }) => {
    const { dir, remove } = scratch();
    const count = short ? CALLS_SHORT : CALLS;
    const judge = async (/** @type {{ url: string, stop: () => Promise<void> }} */ server) => {
      const port = Number(new URL(server.url).port);
      const random = seeded(seed);
      const base = { port, count, connections: CONNECTIONS, expected: 401, random };
      const compared = await compare({ ...base, requests: requests() });
      await server.stop();
      return compared;
    };
    const ours = await judge(await startGateway(dir, CONFIG, ENV));
    say(`load: … and with a program that tells`);
    const leaky = await judge(await startProgram([join(root, 'test/support/leaky-hooks.mjs')], ENV));
    remove();
    const each = `2 × ${count.toLocaleString('en')} calls`;
    const means = `${ours.a.mean.toFixed(3)} and ${ours.b.mean.toFixed(3)} ms`;
    const seen = Math.abs(leaky.t) >= LIMIT;
    return {
      ok: Math.abs(ours.t) < LIMIT && seen,
      text:
        `|t| = ${Math.abs(ours.t).toFixed(2)} (below ${LIMIT}): ${each}, ${means}, seed ${seed}; ` +
        `a program that tells${seen ? '' : ' WAS NOT SEEN'}: ${Math.abs(leaky.t).toFixed(1)}`,
    };
  };
}

// ---- slow and hostile senders ------------------------------------------------------------------------------------------

const SLOW_CONNECTIONS = 2_000;
const SECONDS = 60;
const SECONDS_SHORT = 8;
const MAX_P99_MS = 100;
const MAX_GROWTH_MB = 64;
const WARM_UP_MS = 4_000;

/**
 * `attack` on a gateway that is called by an honest sender each 20 ms: how late it is answered at most, and how much
 * more memory the gateway takes than before. Each call is stored, and nothing else.
 * @param {(gateway: { url: string, dir: string }) => Promise<{ ok: boolean, text: string }>} attack
 * @returns {Promise<Outcome>}
 */
async function underAttack(attack) {
  const { dir, remove } = scratch();
  const gateway = await startGateway(dir, CONFIG, ENV);
  const pid = gateway.pid ?? 0;
  const headers = {
    'content-type': 'application/json',
    'content-length': BODY.length,
    'x-hub-signature-256': `sha256=${DIGEST}`,
  };
  const subject = { url: gateway.url, pid, probe: { headers }, body: BODY };
  const warm = startProbe(subject);
  await sleep(WARM_UP_MS);
  const before = residentMb(pid);
  const quiet = await warm.stop();
  const probe = startProbe(subject);
  const watch = watchProcess(pid);
  const attacked = await attack({ url: gateway.url, dir });
  const { mb, files } = watch.stop();
  const probed = await probe.stop();
  await gateway.stop();
  const stored = countEvents(join(gateway.dataDir, 'tappet.db'));
  remove();
  const sent = quiet.answered + probed.answered;
  const growth = mb - before;
  const failures = [...quiet.failures, ...probed.failures];
  const calls = `${probed.answered.toLocaleString('en')} calls${failures.length > 0 ? `, ${failures.length} FAILED (${failures[0]})` : ''}`;
  const ok =
    attacked.ok &&
    probed.p99Ms <= MAX_P99_MS &&
    growth <= MAX_GROWTH_MB &&
    failures.length === 0 &&
    stored === sent;
  const parts = [
    attacked.text,
    `${calls}: p99 ${probed.p99Ms.toFixed(1)} ms (≤ ${MAX_P99_MS}), worst ${probed.worstMs.toFixed(0)} ms`,
    `memory +${growth.toFixed(0)} MB (≤ ${MAX_GROWTH_MB})`,
    `${files.toLocaleString('en')} files open at most`,
    ...(stored === sent ? [] : [`${stored} events of ${sent} calls ARE STORED`]),
  ];
  return { ok, text: parts.join('; ') };
}

/** @param {string} file */
function countEvents(file) {
  const db = new Database(file, { readonly: true });
  const count = Number(db.prepare('SELECT COUNT(*) FROM events').pluck().get());
  db.close();
  return count;
}

/**
 * @param {string} way
 * @returns {LoadRow['run']}
 */
function slowRow(way) {
  return ({ short }) =>
    underAttack(async ({ url, dir }) => {
      const seconds = short ? SECONDS_SHORT : SECONDS;
      const params = { url: `${url}/hooks/in`, connections: SLOW_CONNECTIONS, seconds, dir };
      const { opened } = await slowly(/** @type {import('./load-slow.mjs').SlowWay} */ (way), params);
      // What was never connected has proved nothing.
      return {
        ok: opened >= SLOW_CONNECTIONS * 0.95,
        text: `${opened.toLocaleString('en')} connections in ${seconds} s`,
      };
    });
}

const HOSTILE_AT_A_TIME = 8;

/** @type {LoadRow['run']} */
async function hostileRow({ short }) {
  const target = { path: '/hooks/in', limit: MAX_BODY, taken: /** @type {const} */ (401) };
  const cases = [...smuggled(target), ...sized(target), ...garbled(target)];
  return underAttack(async ({ url }) => {
    const port = Number(new URL(url).port);
    const end = performance.now() + (short ? SECONDS_SHORT : SECONDS) * 1000;
    let sent = 0;
    /** @type {Set<string>} */
    const wrong = new Set();
    const work = async () => {
      while (performance.now() < end) {
        const one = cases[sent++ % cases.length];
        if (one === undefined) return;
        const got = await answersTo(port, one.bytes);
        if (got.join() !== one.answers.join()) wrong.add(`${one.name}: ${got.slice(0, 3).join()}`);
      }
    };
    await Promise.all(Array.from({ length: HOSTILE_AT_A_TIME }, work));
    const bad = [...wrong];
    const text = `${sent.toLocaleString('en')} of ${cases.length} kinds${bad.length > 0 ? `, ANSWERED WRONGLY: ${bad.join('; ')}` : ''}`;
    return { ok: bad.length === 0 && sent >= cases.length, text };
  });
}
