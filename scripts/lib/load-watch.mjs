// @ts-check
// What a gateway is to others and to the machine while it is under load: how late an honest caller is answered, how
// much memory it takes, how many connections it has. `npm run test:load` uses it.
import { existsSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const PROBE_EVERY_MS = 20;
const SAMPLE_EVERY_MS = 250;
const WRITE_EVERY_MS = 50;
const ESTABLISHED = '01';

/**
 * @typedef {{ times: readonly number[], failures: readonly string[] }} Probed `times`: of the calls that were answered, in ms
 * @typedef {{ url: string, probe: import('node:http').RequestOptions, body: string }} Subject
 * @typedef {object} Watched
 * @property {number} mb the most memory
 * @property {readonly number[]} connections at each look
 * @property {number} busy share of the time that the gateway's main thread ran
 * @property {number} waited share of the time that it could have run, and had no core
 * @property {number} diskP99Ms what a write beside it took until it was on disk
 * @property {number} ownP99Ms how late this program itself was, which takes the times
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
      return { times, failures };
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
 * Connections to a port of this machine that are open and that its program has accepted, by the kernel's table:
 * number, own address, other address, state, …, inode. One that waits to be accepted has no inode yet.
 * @param {string} table
 * @param {number} port
 */
export function acceptedIn(table, port) {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let count = 0;
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[1]?.endsWith(suffix) && fields[3] === ESTABLISHED && fields[9] !== '0') count++;
  }
  return count;
}

/** @param {number} port */
function acceptedNow(port) {
  const tables = ['/proc/net/tcp', '/proc/net/tcp6'].filter((path) => existsSync(path));
  return tables.reduce((sum, path) => sum + acceptedIn(readFileSync(path, 'utf8'), port), 0);
}

/**
 * Of a process's main thread: ms that it ran, and that it waited for a core.
 * @param {number} pid
 */
function threadTimes(pid) {
  const [ran = 0, waited = 0] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number);
  return { ran: ran / 1e6, waited: waited / 1e6 };
}

/**
 * Looks at a process that listens on `port`, and at what it depends on, until `stop`.
 * @param {{ pid: number, port: number, dir: string }} params `dir`: on the disk that it writes to
 */
export function watchProcess({ pid, port, dir }) {
  const start = performance.now();
  const before = threadTimes(pid);
  let mb = 0;
  /** @type {number[]} */
  const connections = [];
  const look = () => {
    mb = Math.max(mb, residentMb(pid));
    connections.push(acceptedNow(port));
  };
  const timer = setInterval(look, SAMPLE_EVERY_MS);
  const own = monitorEventLoopDelay({ resolution: 1 });
  own.enable();
  const stopDisk = writeBeside(join(dir, 'beside'));
  return {
    /** @returns {Promise<Watched>} */
    stop: async () => {
      clearInterval(timer);
      own.disable();
      look();
      const after = threadTimes(pid);
      const all = performance.now() - start;
      return {
        mb,
        connections,
        busy: (after.ran - before.ran) / all,
        waited: (after.waited - before.waited) / all,
        diskP99Ms: quantile(await stopDisk(), 0.99),
        ownP99Ms: own.percentile(99) / 1e6,
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
