// @ts-check
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processIdentity } from './processes.mjs';
import { SetupError, say } from './say.mjs';

/**
 * Whether the process that wrote its identity into this file still lives.
 * @param {string} file
 */
export function ownerLives(file) {
  try {
    const written = readFileSync(file, 'utf8').trim();
    return written !== '' && processIdentity(Number(written.split(' ')[0])) === written;
  } catch {
    return false;
  }
}

/** @param {string} file */
export function writeIdentity(file, flag = 'w') {
  writeFileSync(file, `${processIdentity(process.pid)}\n`, { flag });
}

/**
 * One process at a time: two commands of the same clone must not build or install into the same folder.
 * A lock that a killed process left is taken over.
 * @template T
 * @param {string} file
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(file, work, waitMs = 15 * 60_000) {
  mkdirSync(dirname(file), { recursive: true });
  await takeLock(file, waitMs);
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/**
 * @param {string} file
 * @param {number} waitMs
 */
async function takeLock(file, waitMs) {
  const until = Date.now() + waitMs;
  for (let told = false; ;) {
    try {
      return writeIdentity(file, 'wx');
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
    }
    if (!ownerLives(file)) {
      rmSync(file, { force: true });
      continue;
    }
    if (Date.now() > until) throw new SetupError(`Another command holds ${file} and does not let go of it.`);
    if (!told) say(`set-up: waiting for another command of this clone (${file})`);
    told = true;
    await sleep(200);
  }
}
