// @ts-check
// Senders that hold connections by being slow, and what a gateway is to others meanwhile: how late an honest caller is
// answered, and how much memory it takes. `npm run test:load` uses it.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endsWithUs } from './ends-with-us.mjs';

const PROBE_EVERY_MS = 20;
const SAMPLE_EVERY_MS = 200;
/** New connections a second, so that all of them are there long before the first is cut off. */
const OPENED_PER_SECOND = 1_000;

/** slowhttptest's four ways: what each sends, and how. */
export const SLOW_WAYS = /** @type {const} */ ({
  'slow-headers': ['-H', '-t', 'POST', '-i', '5', '-x', '24'],
  // The largest body of which the gateway takes the sender's word for its size.
  'slow-body': ['-B', '-t', 'POST', '-i', '5', '-s', '65536', '-x', '10'],
  'many-ranges': ['-R', '-t', 'GET', '-a', '5', '-b', '3000'],
  'slow-reading': ['-X', '-w', '256', '-y', '512', '-n', '5', '-z', '16', '-k', '3'],
});

/**
 * @typedef {keyof typeof SLOW_WAYS} SlowWay
 * @typedef {{ answered: number, failures: string[], p99Ms: number, worstMs: number }} Probed
 * @typedef {{ url: string, pid: number, probe: import('node:http').RequestOptions, body: string }} Subject
 */

/**
 * A call each 20 ms, timed from when it was due, until `stop`.
 * @param {Subject} subject
 */
export function startProbe({ url, probe, body }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  /** @type {number[]} */
  const times = [];
  /** @type {string[]} */
  const failures = [];
  /** @type {Set<Promise<void>>} */
  const open = new Set();
  const call = (/** @type {number} */ due) =>
    new Promise((/** @type {(value: void) => void} */ resolve) => {
      const failed = (/** @type {string} */ why) => {
        failures.push(why);
        resolve();
      };
      const sent = request(`${url}/hooks/in`, { method: 'POST', agent, ...probe });
      sent.on('error', (error) => failed(error.message));
      sent.on('response', (response) => {
        response.resume();
        response.on('end', () => {
          if (response.statusCode !== 202) return failed(`answered ${response.statusCode}`);
          times.push(performance.now() - due);
          resolve();
        });
      });
      sent.end(body);
    });
  let due = performance.now();
  const timer = setInterval(() => {
    for (; due <= performance.now(); due += PROBE_EVERY_MS) {
      const one = call(due);
      open.add(one);
      void one.then(() => open.delete(one));
    }
  }, 1);
  return {
    /** @returns {Promise<Probed>} */
    stop: async () => {
      clearInterval(timer);
      await Promise.all(open);
      agent.destroy();
      const sorted = times.toSorted((a, b) => a - b);
      const p99Ms = sorted[Math.floor(sorted.length * 0.99)] ?? Infinity;
      return { answered: sorted.length, failures, p99Ms, worstMs: sorted.at(-1) ?? Infinity };
    },
  };
}

/**
 * Resident memory of a process in MB.
 * @param {number} pid
 */
export function residentMb(pid) {
  const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) / 1024;
}

/**
 * The most memory, and the most open files, that a process has until `stop`.
 * @param {number} pid
 */
export function watchProcess(pid) {
  const most = { mb: 0, files: 0 };
  const look = () => {
    most.mb = Math.max(most.mb, residentMb(pid));
    most.files = Math.max(most.files, readdirSync(`/proc/${pid}/fd`).length);
  };
  const timer = setInterval(look, SAMPLE_EVERY_MS);
  return {
    stop: () => {
      clearInterval(timer);
      look();
      return most;
    },
  };
}

/**
 * Slow senders for so many seconds: those that were cut off are followed by others. `dir` is for slowhttptest's account.
 * @param {SlowWay} way
 * @param {{ url: string, connections: number, seconds: number, dir: string }} params
 * @returns {Promise<{ opened: number }>}
 */
export async function slowly(way, { url, connections, seconds, dir }) {
  const end = performance.now() + seconds * 1000;
  const account = join(dir, 'slowhttptest');
  let opened = 0;
  for (let left = seconds; left > 1; left = (end - performance.now()) / 1000) {
    const length = Math.ceil(left);
    const options = [
      '-c',
      connections,
      '-r',
      OPENED_PER_SECOND,
      '-l',
      length,
      '-p',
      5,
      '-g',
      '-o',
      account,
      '-u',
      url,
    ];
    await ended('slowhttptest', [...SLOW_WAYS[way], ...options.map(String)]);
    opened += openedIn(readFileSync(`${account}.csv`, 'utf8'));
    // It may end at once, where nobody takes a connection.
    await sleep(200);
  }
  return { opened };
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
 * @param {string} program
 * @param {readonly string[]} args
 * @returns {Promise<void>}
 */
function ended(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(...endsWithUs(program, args), { stdio: 'ignore' });
    child.on('error', reject);
    child.on('close', () => resolve());
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
