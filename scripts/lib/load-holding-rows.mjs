// @ts-check
// The rows of `npm run test:load` about what slow and hostile senders do to others.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { scratch, startGateway } from '../../bench/lib.mjs';
import { answersTo, garbled, sized, smuggled } from '../../test/support/hostile-requests.mjs';
import { Caller, callBytes } from './load-caller.mjs';
import { BODY, CONFIG, DIGEST, ENV, MAX_BODY } from './load-gateway.mjs';
import { addLongLog } from './load-log.mjs';
import { SLOW_WAYS } from './load-slow.mjs';
import { quantile, residentMb, startProbe, watchProcess } from './load-watch.mjs';

/**
 * @typedef {import('./load-rows.mjs').LoadRow} LoadRow
 * @typedef {import('./load-rows.mjs').Check} Check
 * @typedef {import('./load-rows.mjs').RowOptions} RowOptions
 * @typedef {import('./load-watch.mjs').Watched} Watched
 * @typedef {{ url: string, dir: string, token: string }} Target
 * @typedef {(target: Target) => Promise<{ text: string, checks: (watched: Watched) => readonly Check[] }>} Attack
 */

const CONNECTIONS = 2_000;
/** Some are just being cut off, or not opened again yet. */
const MOST = 0.95;
/** Of the time that so many are there: slow headers are all cut off after ten seconds, and come again. */
const MOST_TIME = 0.5;
const SECONDS = 60;
/** Where all senders leave at the end, that alone takes a quarter of a second: it must not be a hundredth of the time. */
const SECONDS_SHORT = 20;
const QUIET_SECONDS = 20;
const QUIET_SECONDS_SHORT = 3;
const WARM_UP_MS = 4_000;
/** A gateway that has served: V8 keeps the room that it has taken once for what is young (16 MB more or less). */
const WARM_UP_CALLERS = 64;
const WARM_UP_CALLS = 100;
/** They take some seconds. */
const WARM_UP_LIMIT_MS = 60_000;
const MAX_P99_MS = 100;
const MAX_GROWTH_MB = 64;
/** More than the kernel keeps of an answer that nobody reads. */
const LOG_BYTES = 8 * 1024 * 1024;
/** Of the time, waited for a core: more, and this is no measurement of the gateway. */
const MAX_WAITED = 0.2;
const HOSTILE_AT_A_TIME = 8;
/** Whose senders the gateway does not keep. */
const CUT_OFF = 'slow-log-reading';

/** @type {Record<string, LoadRow>} */
export const HOLDING_ROWS = {
  ...Object.fromEntries(Object.keys(SLOW_WAYS).map((name) => [name, { point: 'S8', run: slowRow(name) }])),
  'hostile-requests': { point: 'S8', run: hostileRow },
};

const whole = (/** @type {number} */ number) => number.toLocaleString('en');
const percent = (/** @type {number} */ share) => `${(share * 100).toFixed(0)} %`;

/**
 * @param {string} name
 * @returns {LoadRow['run']}
 */
function slowRow(name) {
  return (options) =>
    underAttack(options, async ({ url, dir, token }) => {
      const seconds = options.short ? SECONDS_SHORT : SECONDS;
      const attack = { url, connections: CONNECTIONS, seconds, dir, token };
      const { opened, told } = (await SLOW_WAYS[name]?.(attack)) ?? { opened: 0, told: '' };
      const text = `${whole(opened)} connections in ${seconds} s${told === '' ? '' : `; ${told}`}`;
      const checks = (/** @type {Watched} */ { connections }) => [
        name === CUT_OFF ? inAll(opened, connections) : atOneTime(connections),
      ];
      return { text, checks };
    });
}

/**
 * What was never open at one time has proved nothing.
 * @param {readonly number[]} connections
 * @returns {Check}
 */
function atOneTime(connections) {
  const most = Math.max(...connections);
  const least = CONNECTIONS * MOST;
  const share = connections.filter((count) => count >= least).length / connections.length;
  return {
    what: 'connections open at one time',
    figure: `${whole(most)}; ${whole(least)} or more for ${percent(share)} of the time`,
    goal: `≥ ${whole(least)} for ${percent(MOST_TIME)} of the time`,
    ok: share >= MOST_TIME,
  };
}

/**
 * @param {number} opened
 * @param {readonly number[]} connections
 * @returns {Check}
 */
const inAll = (opened, connections) => ({
  what: 'connections opened, each asking for 8 MiB that it never reads',
  figure: `${whole(opened)}; ${whole(Math.max(...connections))} open at one time`,
  goal: `≥ ${whole(CONNECTIONS)} in all`,
  ok: opened >= CONNECTIONS,
});

/** @type {LoadRow['run']} */
async function hostileRow(options) {
  const target = { path: '/hooks/in', limit: MAX_BODY, taken: /** @type {const} */ (401) };
  const cases = [...smuggled(target), ...sized(target), ...garbled(target)];
  return underAttack(options, async ({ url }) => {
    const port = Number(new URL(url).port);
    const end = performance.now() + (options.short ? SECONDS_SHORT : SECONDS) * 1000;
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
    const answers = {
      what: 'each of these kinds has just the answers it must have',
      figure: wrong.size === 0 ? `${whole(sent)} requests of ${cases.length} kinds` : [...wrong].join('; '),
      goal: `all ${cases.length} kinds`,
      ok: wrong.size === 0 && sent >= cases.length,
    };
    return { text: `${whole(sent)} requests`, checks: () => [answers] };
  });
}

/**
 * `attack` on a gateway that is called by an honest sender each 20 ms, and the same calls before and after it: how late
 * they are answered, with and without, and how much more memory the gateway takes than before. Each honest call is
 * stored, and nothing else.
 * @param {RowOptions} options
 * @param {Attack} attack
 * @returns {Promise<import('./load-rows.mjs').Outcome>}
 */
async function underAttack({ short }, attack) {
  const { dir, remove } = scratch();
  const gateway = await withLongLog(dir);
  try {
    const pid = gateway.pid ?? 0;
    const headers = {
      'content-type': 'application/json',
      'content-length': BODY.length,
      'x-hub-signature-256': `sha256=${DIGEST}`,
    };
    const subject = { url: gateway.url, probe: { headers }, body: BODY };
    const token = readFileSync(join(gateway.dataDir, 'token'), 'utf8').trim();
    const during = async (/** @type {number} */ ms) => {
      const probe = startProbe(subject);
      await sleep(ms);
      return probe.stop();
    };
    const quietMs = 1000 * (short ? QUIET_SECONDS_SHORT : QUIET_SECONDS);
    const many = await calledByMany(gateway.url);
    const warm = await during(WARM_UP_MS);
    const before = await during(quietMs);
    const beforeMb = residentMb(pid);
    const watch = await watchProcess({ pid, dir });
    const probe = startProbe(subject);
    const { text, checks } = await attack({ url: gateway.url, dir, token });
    const watched = await watch.stop();
    const probed = await probe.stop();
    const after = await during(quietMs);
    await gateway.stop();
    const all = [many, warm, before, probed, after];
    const stored = countEvents(join(gateway.dataDir, 'tappet.db'));
    return {
      text: `${text}; ${machineOf(watched)}, ${callerOf(probed)}`,
      checks: [
        ...checks(watched),
        lateness(probed.times, [...before.times, ...after.times]),
        growthOf(beforeMb, watched.mb),
        honestCalls(all, stored),
      ],
    };
  } finally {
    await gateway.stop();
    remove();
  }
}

/**
 * Honest calls, so many at the same time. Errors: a connection is closed before its answer; not all are answered within
 * `limitMs`. Another answer than 202 is one of the failures.
 * @param {string} url
 * @returns {Promise<import('./load-watch.mjs').Probed>}
 */
export async function calledByMany(url, limitMs = WARM_UP_LIMIT_MS) {
  const bytes = callBytes('/hooks/in', { 'x-hub-signature-256': `sha256=${DIGEST}` }, BODY);
  /** @type {number[]} */
  const times = [];
  /** @type {string[]} */
  const failures = [];
  /** @type {Caller[]} */
  const callers = [];
  const one = async () => {
    const caller = await Caller.open(Number(new URL(url).port));
    callers.push(caller);
    for (let i = 0; i < WARM_UP_CALLS; i++) {
      const { status, ms } = await caller.call(bytes);
      if (status === 202) times.push(ms);
      else failures.push(`status ${status}`);
    }
  };
  const over = new AbortController();
  const late = async () => {
    await sleep(limitMs, undefined, { signal: over.signal });
    const all = whole(WARM_UP_CALLERS * WARM_UP_CALLS);
    const answered = whole(times.length + failures.length);
    throw new Error(`${answered} of ${all} honest calls were answered within ${limitMs / 1000} s`);
  };
  try {
    await Promise.race([Promise.all(Array.from({ length: WARM_UP_CALLERS }, one)), late()]);
  } finally {
    over.abort();
    for (const caller of callers) caller.close();
  }
  return { times, failures, lags: [] };
}

/**
 * What of the lateness may be the machine's.
 * @param {Watched} watched
 */
function machineOf({ busy, waited, diskP99Ms }) {
  const gateway = `the gateway worked ${percent(busy)} of the time and waited ${percent(waited)} of it for a core`;
  return `${gateway}${waited > MAX_WAITED ? ' (THE MACHINE IS TOO BUSY to judge lateness)' : ''}, a bare write to disk took ${diskP99Ms.toFixed(1)} ms (p99)`;
}

/** @param {import('./load-watch.mjs').Probed} probed */
const callerOf = ({ lags }) =>
  `the honest caller himself was ${quantile(lags, 0.99).toFixed(1)} ms late (p99), worst ${Math.max(...lags).toFixed(0)} ms`;

/**
 * A gateway with a long log in its data folder.
 * @param {string} dir
 */
async function withLongLog(dir) {
  const first = await startGateway(dir, CONFIG, ENV);
  await first.stop();
  addLongLog(first.dataDir, LOG_BYTES);
  return startGateway(dir, CONFIG, ENV);
}

/**
 * @param {readonly number[]} times under attack
 * @param {readonly number[]} quiet the same calls before and after
 * @returns {Check}
 */
function lateness(times, quiet) {
  const p99 = quantile(times, 0.99);
  const without = quantile(quiet, 0.99);
  const ratio = p99 / without;
  return {
    what: 'an honest caller waits (p99)',
    figure: `${p99.toFixed(1)} ms, worst ${Math.max(...times).toFixed(0)} ms; without the others ${without.toFixed(1)} ms: × ${ratio.toFixed(1)}`,
    goal: `≤ ${MAX_P99_MS} ms`,
    ok: p99 <= MAX_P99_MS,
  };
}

/**
 * @param {number} before MB
 * @param {number} most MB, since
 * @returns {Check}
 */
const growthOf = (before, most) => ({
  what: 'memory that the gateway takes more than before',
  figure: `${(most - before).toFixed(1)} MB, ${before.toFixed(0)} before and ${most.toFixed(0)} at most`,
  goal: `≤ ${MAX_GROWTH_MB} MB`,
  ok: most - before <= MAX_GROWTH_MB,
});

/**
 * @param {readonly import('./load-watch.mjs').Probed[]} probes
 * @param {number} stored
 * @returns {Check}
 */
function honestCalls(probes, stored) {
  const answered = probes.reduce((sum, { times }) => sum + times.length, 0);
  const failures = probes.flatMap((probe) => probe.failures);
  const failed = failures.length === 0 ? '' : `, ${failures.length} FAILED (${failures[0]})`;
  return {
    what: 'honest calls answered and stored, and nothing else stored',
    figure: `${whole(answered)} answered${failed}, ${whole(stored)} stored`,
    goal: 'all',
    ok: failures.length === 0 && stored === answered,
  };
}

/** @param {string} file */
function countEvents(file) {
  const db = new Database(file, { readonly: true });
  const count = Number(db.prepare('SELECT COUNT(*) FROM events').pluck().get());
  db.close();
  return count;
}
