// @ts-check
// What a gateway is to others and to the machine while it is under load: how late an honest caller is answered, how
// much memory it takes, how many connections it has. `npm run test:load` uses it.
import { readFileSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PROBE_EVERY_MS = 20;
const SAMPLE_EVERY_MS = 250;
const WRITE_EVERY_MS = 50;

/**
 * @typedef {object} Probed
 * @property {readonly number[]} times of the calls that were answered, in ms
 * @property {readonly number[]} lags how late each call was sent, which counts in its time
 * @property {readonly string[]} failures
 * @typedef {{ url: string, probe: import('node:http').RequestOptions, body: string }} Subject
 * @typedef {object} Watched
 * @property {number} mb the most memory
 * @property {readonly number[]} connections at each look, more than at first
 * @property {number} busy share of the time that the gateway's main thread ran
 * @property {number} waited share of the time that it could have run, and had no core
 * @property {number} diskP99Ms what a write beside it took until it was on disk
 */

/**
 * A call each 20 ms, timed from when it was due, until `stop`.
 * @param {Subject} subject
 */
export function startProbe({ url, probe, body }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  /** @type {number[]} */
  const times = [];
  /** @type {number[]} */
  const lags = [];
  /** @type {string[]} */
  const failures = [];
  /** @type {Set<Promise<void>>} */
  const underWay = new Set();
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
      lags.push(performance.now() - due);
      const one = call(due);
      underWay.add(one);
      void one.then(() => underWay.delete(one));
    }
  }, 1);
  return {
    /** @returns {Promise<Probed>} */
    stop: async () => {
      clearInterval(timer);
      await Promise.all(underWay);
      agent.destroy();
      return { times, lags, failures };
    },
  };
}

/**
 * The value that a share of all is not above; Infinity where there is none.
 * @param {readonly number[]} values
 * @param {number} share
 */
export function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Infinity;
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
 * How many files a process has open, connections among them. Not the kernel's table of connections: to read one of
 * thousands, while hundreds are opened a second, takes half a second, in which this program would call nobody.
 * @param {number} pid
 */
const openFiles = async (pid) => (await readdir(`/proc/${pid}/fd`)).length;

/**
 * Of a process's main thread: ms that it ran, and that it waited for a core.
 * @param {number} pid
 */
function threadTimes(pid) {
  const [ran = 0, waited = 0] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number);
  return { ran: ran / 1e6, waited: waited / 1e6 };
}

/**
 * Looks at a process, and at what it depends on, until `stop`.
 * @param {{ pid: number, dir: string }} params `dir`: on the disk that it writes to
 */
export async function watchProcess({ pid, dir }) {
  const filesBefore = await openFiles(pid);
  const start = performance.now();
  const before = threadTimes(pid);
  let mb = 0;
  /** @type {number[]} */
  const connections = [];
  const look = async () => {
    mb = Math.max(mb, residentMb(pid));
    connections.push((await openFiles(pid)) - filesBefore);
  };
  const timer = setInterval(() => void look(), SAMPLE_EVERY_MS);
  const stopDisk = writeBeside(join(dir, 'beside'));
  return {
    /** @returns {Promise<Watched>} */
    stop: async () => {
      clearInterval(timer);
      await look();
      const after = threadTimes(pid);
      const all = performance.now() - start;
      return {
        mb,
        connections,
        busy: (after.ran - before.ran) / all,
        waited: (after.waited - before.waited) / all,
        diskP99Ms: quantile(await stopDisk(), 0.99),
      };
    },
  };
}

/**
 * A kilobyte to the disk, again and again.
 * @param {string} path
 * @returns {() => Promise<number[]>} ends it, and says what each took in ms
 */
function writeBeside(path) {
  /** @type {number[]} */
  const times = [];
  let ended = false;
  const piece = Buffer.alloc(1024, 'x');
  const work = async () => {
    const file = await open(path, 'w');
    while (!ended) {
      const start = performance.now();
      await file.write(piece);
      await file.datasync();
      times.push(performance.now() - start);
      await sleep(WRITE_EVERY_MS);
    }
    await file.close();
    return times;
  };
  const done = work();
  return () => {
    ended = true;
    return done;
  };
}
