// @ts-check
// An execution with a long log, written into the data folder of a gateway that is down.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { addOldExecutions } from '../../bench/old-executions.mjs';

const PIECE = 32 * 1024;
const HEADER = 24;
const MAGIC = 0x54;
const STDOUT = 1;

/**
 * `long0`, whose one task has written so many bytes.
 * @param {string} data
 * @param {number} bytes
 */
export function addLongLog(data, bytes) {
  addOldExecutions(data, 1, { prefix: 'long', young: true });
  const folder = join(data, 'logs', 'long0', '0-0');
  const text = Buffer.from(`${'x'.repeat(127)}\n`.repeat(PIECE / 128));
  const frames = Array.from({ length: bytes / PIECE }, (_, i) => [header(i * PIECE, text), text]);
  // In the place of the one line that is there.
  writeFileSync(join(folder, '00000000000000000000.log'), Buffer.concat(frames.flat()));
}

/**
 * As the gateway writes it: src/logs/frame.ts.
 * @param {number} offset
 * @param {Buffer} payload
 */
function header(offset, payload) {
  const bytes = Buffer.alloc(HEADER);
  bytes.writeUInt8(MAGIC, 0);
  bytes.writeUInt8(STDOUT, 1);
  bytes.writeUInt32BE(payload.length, 4);
  bytes.writeUIntBE(1, 8, 6);
  bytes.writeUIntBE(offset, 14, 6);
  bytes.writeUInt32BE(crc32(payload, crc32(bytes.subarray(0, 20))), 20);
  return bytes;
}
