// @ts-check
// The rows of `npm run test:load` about what strangers could learn from how long a refusal takes.
import { join } from 'node:path';
import { scratch, startGateway } from '../../bench/lib.mjs';
import { BODY, CONFIG, DIGEST, ENV, almost, otherThan } from './load-gateway.mjs';
import { LIMIT, joined, seeded, smallestSeen, timesOf, welch } from './load-timing.mjs';
import { startIssuer } from './load-tokens.mjs';
import { root } from './say.mjs';

/**
 * @typedef {import('./load-rows.mjs').LoadRow} LoadRow
 * @typedef {import('./load-rows.mjs').Check} Check
 * @typedef {{ name: string, path: string, headers: readonly string[] }} Kind of calls; all are refused
 */

const CONNECTIONS = 16;
const CALLS = 20_000;
const CALLS_SHORT = 2_500;
/** Where a difference of `LATE_MS` would not be seen, as on a busy machine, so many times the calls at most. */
const MAX_ROUNDS = 4;
/** Less than it takes to check a token's signature. */
const LATE_MS = 0.1;
const LATE_MS_SHORT = 0.3;

const ALMOST = almost(DIGEST);
const FAR = DIGEST.replaceAll(/./g, otherThan);
const signed = (/** @type {string} */ digest) => [`X-Hub-Signature-256: sha256=${digest}`];

/** @type {Record<string, LoadRow>} */
export const TIMING_ROWS = {
  'hmac-compare': {
    point: 'S7',
    run: timingRow(async () => ({
      config: CONFIG,
      kinds: [
        { name: 'a signature wrong in its last digit', path: '/hooks/in', headers: signed(ALMOST) },
        { name: 'one wrong in all of them', path: '/hooks/in', headers: signed(FAR) },
      ],
    })),
  },
  'unknown-trigger': {
    point: 'S7',
    run: timingRow(async () => ({
      config: CONFIG,
      kinds: [
        { name: 'a wrong signature', path: '/hooks/in', headers: signed(FAR) },
        { name: 'the same where no trigger is', path: '/hooks/no', headers: signed(FAR) },
      ],
    })),
  },
  'oidc-callers': { point: 'S7', run: timingRow(oidcCallers) },
};

async function oidcCallers() {
  const right = { sub: 'load', aud: 'gateway' };
  const issuer = await startIssuer(right);
  const auth = { oidc: { issuer: 'load', audience: right.aud, require: `claims.sub == '${right.sub}'` } };
  const config = {
    ...CONFIG,
    issuers: { load: { issuer: issuer.url, allowHttp: true } },
    triggers: { in: { source: { kind: 'webhook', auth }, run: { job: 'none' } } },
  };
  const bearer = (/** @type {import('./load-tokens.mjs').Wrong} */ wrong) => [
    `Authorization: Bearer ${issuer.token(wrong)}`,
  ];
  // All of one length.
  const stranger = bearer({ sub: 'daol' });
  const kinds = [
    { name: 'a right token of another caller', path: '/hooks/in', headers: stranger },
    { name: 'a wrong signature', path: '/hooks/in', headers: bearer({ signature: true }) },
    { name: 'a key that is not known', path: '/hooks/in', headers: bearer({ kid: 'load-2' }) },
    { name: 'another audience', path: '/hooks/in', headers: bearer({ aud: 'yawetag' }) },
    { name: 'the first where no trigger is', path: '/hooks/no', headers: stranger },
  ];
  return { config, kinds, close: issuer.close };
}

/**
 * The gateway takes the same time for the first kind and each other one. Beside them, in the same random order, the
 * first kind once more, which must not differ, and once more held for a known time, which must: without these two a
 * difference that is not seen says nothing.
 * @param {() => Promise<{ config: object, kinds: readonly Kind[], close?: () => void }>} make
 * @returns {LoadRow['run']}
 */
function timingRow(make) {
  return async ({ short, seed }) => {
    const { config, kinds, close } = await make();
    const lateMs = short ? LATE_MS_SHORT : LATE_MS;
    const { dir, remove } = scratch();
    const program = join(root, 'test/support/late-gateway.mjs');
    const gateway = await startGateway(dir, config, { ...ENV, LATE_MS: String(lateMs) }, { program });
    try {
      const [first] = kinds;
      if (first === undefined) throw new TypeError('kinds of calls are compared');
      const requests = [...kinds.map((kind) => call(kind, '0')), call(first, '0'), call(first, '1')];
      const port = Number(new URL(gateway.url).port);
      const base = { port, requests, connections: CONNECTIONS, expected: 401, random: seeded(seed) };
      const measured = await measure({ ...base, count: short ? CALLS_SHORT : CALLS }, lateMs);
      return {
        text: `${measured.count.toLocaleString('en')} calls of each of ${requests.length} kinds in random order`,
        checks: checksOf(kinds, measured, lateMs),
      };
    } finally {
      await gateway.stop();
      close?.();
      remove();
    }
  };
}

/**
 * Until a difference of `lateMs` would be seen. That goes by how the same kind of calls vary, and not by how the kinds
 * differ: else whoever goes on long enough would find what he looks for.
 * @param {Parameters<typeof timesOf>[0]} params
 * @param {number} lateMs
 */
async function measure(params, lateMs) {
  let times = await timesOf(params);
  for (let round = 1; ; round++) {
    const again = times.at(-2);
    if (times[0] === undefined || again === undefined) throw new TypeError('kinds of calls are compared');
    const smallest = smallestSeen(times[0], again);
    if (smallest <= lateMs || round === MAX_ROUNDS) return { times, smallest, count: round * params.count };
    const more = await timesOf(params);
    times = times.map((list, i) => joined([list, more[i] ?? new Float64Array()]));
  }
}

/**
 * @param {readonly Kind[]} kinds
 * @param {{ times: readonly Float64Array[], smallest: number }} measured
 * @param {number} lateMs
 * @returns {Check[]}
 */
function checksOf(kinds, { times, smallest }, lateMs) {
  const [first, ...others] = times;
  const again = 'the first once more';
  const late = `the first, held ${lateMs} ms`;
  const names = [...kinds.slice(1).map(({ name }) => name), again, late];
  const checks = names.map((name, i) => {
    const other = others[i];
    if (first === undefined || other === undefined) throw new TypeError('kinds of calls are compared');
    const { t, difference, kept } = welch(other, first);
    const seen = Math.abs(t) >= LIMIT;
    const figure = `|t| = ${Math.abs(t).toFixed(2)}: ${Math.abs(difference).toFixed(4)} ms ${difference < 0 ? 'sooner' : 'later'} (of the fastest ${kept * 100} %)`;
    return {
      what: name,
      figure,
      goal: name === late ? `|t| ≥ ${LIMIT}` : `|t| < ${LIMIT}`,
      ok: name === late ? seen : !seen,
    };
  });
  const against = kinds[0]?.name ?? '';
  const smallestCheck = {
    what: 'smallest difference seen 9 times of 10',
    figure: `${smallest.toFixed(4)} ms`,
    goal: `≤ ${lateMs} ms`,
    ok: smallest <= lateMs,
  };
  return [...checks.map((check) => ({ ...check, what: `${check.what}, against ${against}` })), smallestCheck];
}

/**
 * @param {Kind} kind
 * @param {'0' | '1'} late
 */
function call({ path, headers }, late) {
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: gateway',
    'Content-Type: application/json',
    `X-Late: ${late}`,
    ...headers,
    `Content-Length: ${BODY.length}`,
  ];
  return Buffer.from([...head, '', BODY].join('\r\n'));
}
