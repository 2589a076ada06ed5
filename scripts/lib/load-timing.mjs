// @ts-check
// Whether a server answers two kinds of calls in the same time: calls of both in random order, and Welch's t of what
// they took. `npm run test:load` and its tests use it.
import { once } from 'node:events';
import { connect } from 'node:net';

/** A |t| as large as this does not come by chance: once in 150,000 comparisons (the bound of leakage tests of hardware). */
export const LIMIT = 4.5;
/** The slowest tenth of both together does not count: those calls met a collection of garbage, a checkpoint, another program. */
const KEPT = 0.9;
/** The first calls find cold code. */
const WARM_UP = 500;

/**
 * @typedef {{ count: number, mean: number, variance: number }} Sample
 * @typedef {{ t: number, a: Sample, b: Sample, croppedAboveMs: number }} Comparison
 * @typedef {() => number} Random from 0 to below 1
 */

/**
 * The same numbers for the same seed (Mulberry32).
 * @param {number} seed
 * @returns {Random}
 */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * `count` of each of two kinds, in random order.
 * @param {number} count
 * @param {Random} random
 */
export function shuffled(count, random) {
  const order = Uint8Array.from({ length: 2 * count }, (_, i) => i % 2);
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  return order;
}

/**
 * @param {readonly number[]} values
 * @returns {Sample}
 */
function sample(values) {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  return { count, mean, variance };
}

/**
 * Welch's t of two lists of milliseconds, without the slowest tenth of both together.
 * @param {readonly number[]} a
 * @param {readonly number[]} b
 * @returns {Comparison}
 */
export function welch(a, b) {
  const pooled = [...a, ...b].sort((x, y) => x - y);
  const croppedAboveMs = pooled[Math.floor(pooled.length * KEPT)] ?? Infinity;
  const [one, other] = [a, b].map((values) => sample(values.filter((value) => value < croppedAboveMs)));
  if (one === undefined || other === undefined) throw new TypeError('two lists are compared');
  const error = Math.sqrt(one.variance / one.count + other.variance / other.count);
  return { t: (one.mean - other.mean) / error, a: one, b: other, croppedAboveMs };
}

/**
 * Calls a server `count` times with each of two requests, in random order, on a few connections that are kept open; each
 * answer must have the status `expected`.
 * @param {object} params
 * @param {number} params.port
 * @param {readonly [Buffer, Buffer]} params.requests whole, with a length and without `Connection: close`
 * @param {number} params.count
 * @param {number} params.connections
 * @param {number} params.expected
 * @param {Random} params.random
 * @param {number} [params.warmUp] calls of each kind that do not count
 * @returns {Promise<Comparison>}
 */
export async function compare({ port, requests, count, connections, expected, random, warmUp = WARM_UP }) {
  const order = shuffled(count + warmUp, random);
  /** @type {[number[], number[]]} */
  const times = [[], []];
  let next = 0;
  const work = async () => {
    const caller = await Caller.open(port);
    while (next < order.length) {
      const at = next++;
      const kind = order[at] === 0 ? 0 : 1;
      const { status, ms } = await caller.call(requests[kind]);
      if (status !== expected) throw new Error(`a call was answered ${status}, not ${expected}`);
      if (at >= 2 * warmUp) times[kind].push(ms);
    }
    caller.close();
  };
  await Promise.all(Array.from({ length: connections }, work));
  return welch(...times);
}

/** One connection, one call at a time. Bare bytes: an HTTP client would add its own time, and its moods. */
export class Caller {
  #socket;
  #answer = '';
  /** @type {((status: number) => void) | undefined} */
  #answered;
  /** @type {((error: Error) => void) | undefined} */
  #failed;

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (/** @type {string} */ text) => this.#read(text));
    socket.on('error', (error) => this.#failed?.(error));
    socket.on('close', () => this.#failed?.(new Error('the connection was closed without an answer')));
  }

  /** @param {number} port */
  static async open(port) {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Caller(socket);
  }

  /**
   * @param {Buffer} bytes
   * @returns {Promise<{ status: number, ms: number }>} from the sending to the last byte of the answer
   */
  async call(bytes) {
    const start = performance.now();
    /** @type {number} */
    const status = await new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(bytes);
    });
    return { status, ms: performance.now() - start };
  }

  close() {
    this.#failed = undefined;
    this.#socket.destroy();
  }

  /** @param {string} text */
  #read(text) {
    this.#answer += text;
    const head = this.#answer.indexOf('\r\n\r\n');
    if (head === -1) return;
    const length = Number(/^content-length: *(\d+)/im.exec(this.#answer.slice(0, head))?.[1]);
    if (!(this.#answer.length >= head + 4 + length)) return;
    const status = Number(this.#answer.slice(9, 12));
    this.#answer = '';
    this.#answered?.(status);
  }
}
