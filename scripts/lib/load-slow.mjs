// @ts-check
// Senders that hold connections by being slow. `npm run test:load` uses it.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endsWithUs } from './ends-with-us.mjs';
import { BODY, DIGEST, almost } from './load-gateway.mjs';
import { root } from './say.mjs';

/** New connections a second, so that all of them are there long before the first is cut off. */
const OPENED_PER_SECOND = 1_000;
/** Those that are cut off at once come again: at the rate above that would be a flood of calls. */
const LOGS_PER_SECOND = 250;
/** slowhttptest ends where all that it opened were cut off. */
const PAUSE_MS = 200;
/** As many as fit into the headers that the gateway takes. */
const RANGES = 1_800;
/** Seconds: what is asked for is to be slow, and no flood of calls. */
const AGAIN_S = 5;
/** Calls in one breath, none of whose answers is read. */
const CALLS_AT_ONCE = 3;

/**
 * @typedef {object} Attack
 * @property {string} url
 * @property {number} connections that are to be open at a time
 * @property {number} seconds those that were cut off meanwhile are followed by others
 * @property {string} dir for what the senders read and write
 * @property {string} token of the API
 * @typedef {{ opened: number, told: string }} Attacked `opened`: in all
 * @typedef {(attack: Attack) => Promise<Attacked>} SlowWay
 */

const LOG_PATH = '/api/v1/executions/long0/tasks/0/logs';

/**
 * All hold their connections but the last: the gateway cuts off those who do not read a log, where they are many.
 * @type {Record<string, SlowWay>}
 */
export const SLOW_WAYS = {
  'slow-headers': slowhttptest(['-H', '-t', 'POST', '-i', '5', '-x', '24']),
  // The largest body of which the gateway takes the sender's word for its size.
  'slow-body': slowhttptest(['-B', '-t', 'POST', '-i', '5', '-s', '65536', '-x', '10']),
  // slowhttptest's -R and -X hold nothing here: each connection is over with its one small answer.
  'many-ranges': senders(ranges, ['--read', '--again', String(AGAIN_S)]),
  'slow-reading': senders(refused, ['--again', String(AGAIN_S)]),
  'slow-log-reading': senders(logRead, [], LOGS_PER_SECOND),
};

/**
 * @param {readonly string[]} way
 * @returns {SlowWay}
 */
function slowhttptest(way) {
  return async ({ url, connections, seconds, dir }) => {
    const end = performance.now() + seconds * 1000;
    const account = join(dir, 'slowhttptest');
    let opened = 0;
    for (let left = seconds; left > 1; left = (end - performance.now()) / 1000) {
      const many = ['-c', connections, '-r', OPENED_PER_SECOND, '-l', Math.ceil(left)];
      const args = [...way, ...many, '-p', 5, '-g', '-o', account, '-u', `${url}/hooks/in`];
      await outputOf('slowhttptest', args.map(String));
      opened += openedIn(readFileSync(`${account}.csv`, 'utf8'));
      await sleep(PAUSE_MS);
    }
    return { opened, told: '' };
  };
}

/**
 * The connections that slowhttptest had, by the last line of its account: second, closed, pending, connected, and
 * whether its own probe was answered.
 * @param {string} csv
 */
export function openedIn(csv) {
  const lines = csv.split('\n').filter((line) => /^\d+,/.test(line));
  const [, closed = 0, , connected = 0] = (lines.at(-1) ?? '').split(',').map(Number);
  return closed + connected;
}

/**
 * @param {(attack: Attack) => string} request what each connection sends
 * @param {readonly string[]} options
 * @param {number} [perSecond] connections opened
 * @returns {SlowWay}
 */
function senders(request, options, perSecond = OPENED_PER_SECOND) {
  return async (attack) => {
    const { url, connections, seconds, dir } = attack;
    const file = join(dir, 'request');
    writeFileSync(file, request(attack));
    const program = join(root, 'test/support/slow-senders.py');
    const args = [new URL(url).port, connections, perSecond, seconds, file, ...options];
    const told = JSON.parse(await outputOf('python3', [program, ...args.map(String)]));
    const mb = (/** @type {number} */ bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
    const text = `${mb(told.sent)} sent, ${mb(told.received)} of the answers read, ${told.cut} cut off by the gateway`;
    return { opened: told.opened, told: text };
  };
}

/**
 * @param {readonly string[]} head
 * @param {string} [body]
 */
const bytesOf = (head, body = '') => [head[0], 'Host: gateway', ...head.slice(1), '', body].join('\r\n');

function ranges() {
  const list = Array.from({ length: RANGES }, (_, i) => `5-${i + 5}`);
  return bytesOf(['GET /hooks/in HTTP/1.1', `Range: bytes=${list.join(',')}`]);
}

function refused() {
  const head = ['POST /hooks/in HTTP/1.1', 'Content-Type: application/json'];
  const signature = `X-Hub-Signature-256: sha256=${almost(DIGEST)}`;
  return bytesOf([...head, signature, `Content-Length: ${BODY.length}`], BODY).repeat(CALLS_AT_ONCE);
}

/** @param {Attack} attack */
function logRead({ token }) {
  return bytesOf([`GET ${LOG_PATH} HTTP/1.1`, `Authorization: Bearer ${token}`]);
}

/**
 * What a program prints, when it has ended. Errors: the program cannot be started.
 * @param {string} program
 * @param {readonly string[]} args
 * @returns {Promise<string>}
 */
function outputOf(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(...endsWithUs(program, args), {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (/** @type {string} */ text) => (output += text));
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
}

/** How many files this process and those that it starts may open, or Infinity where that cannot be told. */
export function openFileLimit() {
  try {
    const soft = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}
