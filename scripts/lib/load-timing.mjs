// @ts-check
// Whether a server takes the same time for calls of several kinds, and how small a difference would have been seen: all
// kinds in random order, and Welch's t of what they took. `npm run test:load` and its tests use it.
import { Caller } from './load-caller.mjs';

/** A |t| as large as this does not come by chance: once in 150,000 comparisons (the bound of leakage tests of hardware). */
export const LIMIT = 4.5;
/**
 * What takes longest met a collection of garbage, a checkpoint, another program. Where such calls end and a difference
 * begins nobody knows beforehand, so that the comparison is made with each of these shares of all calls, and the largest
 * t counts.
 */
const KEPT = /** @type {const} */ ([0.5, 0.75, 0.9, 0.97, 0.995, 1]);
/** t has a spread of 1: nine of ten times it is no more than so much below what it is on average. */
const SPREAD = 1.28;
/** The first calls of each kind find cold code. */
const WARM_UP = 500;

/**
 * @typedef {{ count: number, mean: number, variance: number }} Sample
 * @typedef {{ t: number, kept: number, difference: number, a: Sample, b: Sample }} Comparison `difference`: of the means
 *   in ms, of the share `kept` of the calls
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
 * `count` of each of so many kinds, in random order.
 * @param {number} kinds
 * @param {number} count
 * @param {Random} random
 */
export function shuffled(kinds, count, random) {
  const order = Uint8Array.from({ length: kinds * count }, (_, i) => i % kinds);
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  return order;
}

/**
 * The largest of Welch's t of two lists of milliseconds, over the shares of the calls that are looked at.
 * @param {Float64Array} a sorted
 * @param {Float64Array} b sorted
 * @returns {Comparison}
 */
export function welch(a, b) {
  const pooled = joined([a, b]);
  /** @type {Comparison | undefined} */
  let largest;
  for (const kept of KEPT) {
    const below = kept === 1 ? Infinity : (pooled[Math.floor(pooled.length * kept)] ?? Infinity);
    const one = sampleBelow(a, below);
    const other = sampleBelow(b, below);
    if (one.count < 2 || other.count < 2) continue;
    const difference = one.mean - other.mean;
    const t = difference / Math.sqrt(one.variance / one.count + other.variance / other.count);
    if (largest === undefined || Math.abs(t) > Math.abs(largest.t))
      largest = { t, kept, difference, a: one, b: other };
  }
  if (largest === undefined) throw new TypeError('two lists of numbers are compared');
  return largest;
}

/**
 * @param {readonly Float64Array[]} lists
 * @returns {Float64Array} all of them, sorted
 */
export function joined(lists) {
  const all = new Float64Array(lists.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all.sort();
}

/**
 * @param {Float64Array} sorted
 * @param {number} limit
 * @returns {Sample}
 */
function sampleBelow(sorted, limit) {
  let count = 0;
  let sum = 0;
  for (; count < sorted.length; count++) {
    const value = sorted[count] ?? 0;
    if (value >= limit) break;
    sum += value;
  }
  const mean = sum / count;
  let squares = 0;
  for (let i = 0; i < count; i++) squares += ((sorted[i] ?? 0) - mean) ** 2;
  return { count, mean, variance: squares / (count - 1) };
}

/**
 * The smallest difference, in ms, that would be seen nine times of ten between calls that take as long as these: found
 * by adding it to the one or the other of two lists of the same kind of calls.
 * @param {Float64Array} a sorted
 * @param {Float64Array} b sorted
 */
export function smallestSeen(a, b) {
  const seen = (/** @type {number} */ ms) =>
    [welch(a, later(b, ms)), welch(later(a, ms), b)].every(({ t }) => Math.abs(t) >= LIMIT + SPREAD);
  let high = 0.001;
  while (!seen(high) && high < 1e4) high *= 2;
  let low = high / 2;
  while (high / low > 1.02) {
    const middle = Math.sqrt(high * low);
    if (seen(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * @param {Float64Array} values
 * @param {number} ms
 */
const later = (values, ms) => values.map((value) => value + ms);

/**
 * Calls a server `count` times with each of several requests, in random order, on a few connections that are kept open;
 * each answer must have the status `expected`.
 * @param {object} params
 * @param {number} params.port
 * @param {readonly Buffer[]} params.requests whole, with a length and without `Connection: close`
 * @param {number} params.count
 * @param {number} params.connections
 * @param {number} params.expected
 * @param {Random} params.random
 * @param {number} [params.warmUp] calls of each kind that do not count
 * @returns {Promise<Float64Array[]>} for each request what its calls took, in ms, sorted
 */
export async function timesOf({ port, requests, count, connections, expected, random, warmUp = WARM_UP }) {
  const order = [...shuffled(requests.length, warmUp, random), ...shuffled(requests.length, count, random)];
  /** @type {number[][]} */
  const times = requests.map(() => []);
  let next = 0;
  const work = async () => {
    const caller = await Caller.open(port);
    while (next < order.length) {
      const at = next++;
      const kind = order[at] ?? 0;
      const { status, ms } = await caller.call(requests[kind] ?? Buffer.alloc(0));
      if (status !== expected) throw new Error(`a call was answered ${status}, not ${expected}`);
      if (at >= requests.length * warmUp) times[kind]?.push(ms);
    }
    caller.close();
  };
  await Promise.all(Array.from({ length: connections }, work));
  return times.map((values) => new Float64Array(values).sort());
}
