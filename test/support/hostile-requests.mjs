// @ts-check
// Requests that a careless HTTP server trips over, as bytes: framings that two parsers read differently, sizes, floods
// of headers, compression, garbage. Sent by `test/http/hostile-requests.test.ts`, and by `npm run test:load` for a minute.
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';

/**
 * @typedef {object} Target
 * @property {string} path of a hook
 * @property {number} limit the largest body, in bytes
 * @property {202 | 401} taken what a call without a signature hears: whether strangers are let in there
 * @typedef {{ name: string, bytes: Buffer, answers: readonly number[] }} HostileRequest `answers`: the statuses, in order
 */

/** @typedef {(head: readonly string[], body?: string) => Buffer} Post */

/**
 * @param {Target} target
 * @returns {Post} the bytes of a POST of these header lines
 */
const poster =
  ({ path }) =>
  (head, body = '') =>
    Buffer.from([`POST ${path} HTTP/1.1`, 'Host: gateway', ...head, '', body].join('\r\n'), 'latin1');

/** What an attacker hides behind the first request: whoever ends that elsewhere takes this for a second one. */
const HIDDEN = 'hidden';

/**
 * Twelve requests whose end two parsers see at different places. None has a second answer, and none starts anything.
 * @param {Target} target
 * @returns {HostileRequest[]}
 */
export function smuggled(target) {
  const post = poster(target);
  const second = post(['Content-Type: text/plain', `Content-Length: ${HIDDEN.length}`], HIDDEN).toString();
  const chunked = 'Transfer-Encoding: chunked';
  const inBody = `0\r\n\r\n${second}`;
  /** @type {[name: string, head: string[], body?: string][]} */
  const cases = [
    ['a length and chunks', [`Content-Length: ${inBody.length}`, chunked], inBody],
    ['chunks and a length', [chunked, 'Content-Length: 5'], inBody],
    ['two lengths', ['Content-Length: 0', `Content-Length: ${second.length}`], second],
    ['a list of lengths', [`Content-Length: 0, ${second.length}`], second],
    ['a length with a sign', ['Content-Length: +0'], second],
    ['a length in hex', ['Content-Length: 0x0'], second],
    ['a coding that is none', ['Transfer-Encoding: xchunked'], inBody],
    ['chunks that are not the last coding', ['Transfer-Encoding: chunked, identity'], inBody],
    ['a space before the colon', ['Transfer-Encoding : chunked', `Content-Length: ${inBody.length}`], inBody],
    [
      'a coding on a folded line',
      ['Transfer-Encoding:', ' chunked', `Content-Length: ${inBody.length}`],
      inBody,
    ],
    ['a chunk whose size overflows', [chunked], `10000000000000000\r\n${second}`],
    ['a chunk that ends early', [chunked], `1\r\nxy\r\n${inBody}`],
  ];
  return cases.map(([name, head, body]) => ({
    name: `smuggling: ${name}`,
    bytes: post(['Content-Type: text/plain', ...head], body),
    answers: [400],
  }));
}

/**
 * Ten sizes, from nothing to more than anybody has.
 * @param {Target} target
 * @returns {HostileRequest[]}
 */
export function sized(target) {
  const post = poster(target);
  const { limit, taken, path } = target;
  const last = 'Connection: close';
  const text = ['Content-Type: text/plain', last];
  /** @type {(length: number | string, body?: string) => Buffer} */
  const announced = (length, body) => post([...text, `Content-Length: ${length}`], body);
  /** @type {[name: string, bytes: Buffer, answer: number][]} */
  const cases = [
    ['no body', post([last, 'Content-Length: 0']), taken],
    ['one byte', announced(1, 'x'), taken],
    ['just the limit', announced(limit, 'x'.repeat(limit)), taken],
    ['a byte more, announced', announced(limit + 1), 413],
    ['a byte more, in chunks', post([...text, 'Transfer-Encoding: chunked'], chunksOf(limit + 1)), 413],
    ['10 GiB, announced', announced(10 * 1024 ** 3), 413],
    ['more than 64 bits can count', announced('18446744073709551617'), 400],
    ['a path of 20 KiB', Buffer.from(`POST ${path}${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`), 431],
    ['a header of 17 KiB', post([`X-Long: ${'x'.repeat(17 * 1024)}`]), 431],
    ['10,000 headers', post(Array.from({ length: 10_000 }, (_, i) => `X${i}: x`)), 431],
  ];
  return cases.map(([name, bytes, answer]) => ({ name: `size: ${name}`, bytes, answers: [answer] }));
}

/**
 * What is neither: bodies that unfold, that are no chunks, that are no HTTP, and many requests in one breath.
 * @param {Target} target
 * @returns {HostileRequest[]}
 */
export function garbled(target) {
  const post = poster(target);
  const { taken } = target;
  const bomb = gzipSync(Buffer.alloc(3 * 1024 * 1024), { level: 9 }).toString('latin1');
  const coded = [
    'Content-Encoding: gzip',
    'Content-Type: application/json',
    `Content-Length: ${bomb.length}`,
  ];
  const deep = '['.repeat(target.limit);
  const json = ['Content-Type: application/json', `Content-Length: ${deep.length}`, 'Connection: close'];
  const call = post(['Content-Type: text/plain', 'Content-Length: 1'], 'x');
  const end = post(['Content-Type: text/plain', 'Content-Length: 1', 'Connection: close'], 'x');
  const bad = post(['Transfer-Encoding: chunked'], 'zz\r\n');
  const many = Array.from({ length: 99 }, () => call);
  return [
    {
      name: 'a gzip bomb',
      bytes: post([...coded, 'Connection: close'], bomb),
      answers: [taken === 401 ? 401 : 415],
    },
    { name: 'JSON that only opens', bytes: post(json, deep), answers: [taken === 401 ? 401 : 400] },
    { name: 'chunks that are none', bytes: bad, answers: [400] },
    { name: 'noise as chunks', bytes: post(['Transfer-Encoding: chunked'], noise(1000)), answers: [400] },
    { name: 'noise', bytes: Buffer.from(noise(1000), 'latin1'), answers: [400] },
    {
      name: '100 requests in one breath',
      bytes: Buffer.concat([...many, end]),
      answers: Array(100).fill(taken),
    },
    { name: 'a broken one before 99 others', bytes: Buffer.concat([bad, ...many]), answers: [400] },
  ];
}

/** @param {number} length */
function chunksOf(length) {
  const size = 1024;
  const whole = `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`.repeat(Math.floor(length / size));
  const rest = length % size;
  return `${whole}${rest === 0 ? '' : `${rest.toString(16)}\r\n${'x'.repeat(rest)}\r\n`}0\r\n\r\n`;
}

/**
 * The same at each run, and never a line end at the beginning, which parsers may skip.
 * @param {number} length
 */
function noise(length) {
  let state = 1;
  return Array.from({ length }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return String.fromCodePoint(128 + (state % 128));
  }).join('');
}

/**
 * Sends the bytes on a connection of its own; the statuses of what comes back until the other end closes it.
 * @param {number} port
 * @param {Buffer} bytes
 * @returns {Promise<number[]>}
 */
export async function answersTo(port, bytes) {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (data) => (answer += data.toString('latin1')));
  // Who does not read on resets what is still on its way to him.
  socket.on('error', () => undefined);
  socket.write(bytes);
  await new Promise((resolve) => void socket.once('close', resolve));
  return [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}
