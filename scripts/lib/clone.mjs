// @ts-check
// Everything that two clones on one machine must not share comes from here.
import { createHash } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './say.mjs';

/**
 * @typedef {object} Clone
 * @property {string} root real path of the checkout
 * @property {string} id six characters, the same for this path for ever
 * @property {string} stateDir what is kept between runs: engine data, demo data, reports
 * @property {string} tempDir short, for sockets: their paths end at 107 bytes
 * @property {string} bridge network device of the private engine (a device name ends at 15 bytes)
 * @property {{ gateway: number, issuer: number, store: number }} ports for when the configured ones are taken
 * @property {number} block where to begin looking for a free 10.<block>.0.0/16
 */

/** @returns {Clone} */
export function describeClone(path = root) {
  const real = realpathSync(path);
  const hash = createHash('sha256').update(real).digest();
  const id = hash.toString('hex').slice(0, 6);
  // Below 32768, where the kernel begins to give out ports of its own.
  const port = 20_000 + (hash.readUInt16BE(4) % 1_200) * 10;
  return {
    root: real,
    id,
    stateDir: join(real, '.tappet'),
    tempDir: `/tmp/tappet-${id}`,
    bridge: `tappet-${id}`,
    // SeaweedFS takes ten of the twenty from its first on.
    ports: { gateway: port, issuer: port + 1, store: 12_000 + (hash.readUInt16BE(8) % 350) * 20 },
    block: hash.readUInt16BE(6) % BLOCKS,
  };
}

/** 10.128.0.0/16 to 10.247.0.0/16: away from the low blocks that home and office networks like. */
const BLOCKS = 120;
const FIRST_BLOCK = 128;

/**
 * @typedef {{ device: string, network: number, mask: number }} Route
 * @typedef {{ block: number, gateway: string, pool: string }} Subnet
 */

/**
 * The kernel's routes; addresses stand there as little-endian hex.
 * @param {string} [table] the text of /proc/net/route
 * @returns {Route[]}
 */
export function readRoutes(table = readFileSync('/proc/net/route', 'utf8')) {
  const little = (/** @type {string} */ hex) => Buffer.from(hex, 'hex').readUInt32LE(0);
  return table
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/))
    .map((field) => ({
      device: field[0] ?? '',
      network: little(field[1] ?? ''),
      mask: little(field[7] ?? ''),
    }));
}

/**
 * A /16 that no route of this machine touches: the first /24 for the default bridge, the upper half for networks
 * that are made later.
 * @param {number} start where to begin: a number from the clone, or the block of the last run
 * @param {readonly Route[]} routes without those of our own devices
 * @returns {Subnet | undefined}
 */
export function freeSubnet(start, routes) {
  for (let i = 0; i < BLOCKS; i++) {
    const block = (start + i) % BLOCKS;
    const second = FIRST_BLOCK + block;
    const network = ((10 << 24) | (second << 16)) >>> 0;
    const taken = routes.some(
      ({ network: other, mask }) => mask !== 0 && overlaps(network, 0xffff0000, other, mask),
    );
    if (!taken) return { block, gateway: `10.${second}.0.1/24`, pool: `10.${second}.128.0/17` };
  }
  return undefined;
}

/**
 * @param {number} a
 * @param {number} maskA
 * @param {number} b
 * @param {number} maskB
 */
function overlaps(a, maskA, b, maskB) {
  const common = (maskA & maskB) >>> 0;
  return (a & common) >>> 0 === (b & common) >>> 0;
}
