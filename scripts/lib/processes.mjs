// @ts-check
// Processes as /proc shows them. Nothing here signals anything that the caller did not pick by its own marks.
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** @param {number} pid */
function statFields(pid) {
  try {
    // The name in field 2 may hold spaces and brackets: count after its closing one. [0] is field 3, the state.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/**
 * A process for ever: its pid alone is given to others later, with the time it was started it is not.
 * @param {number} pid
 * @returns {string | undefined} undefined where no such process lives
 */
export function processIdentity(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EPERM') return undefined;
  }
  const fields = statFields(pid);
  // No /proc (macOS): the pid must do.
  if (fields === undefined) return process.platform === 'linux' ? undefined : `${pid}`;
  return fields[0] === 'Z' ? undefined : `${pid} ${fields[19]}`;
}

function allPids() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** @param {(args: readonly string[]) => boolean} matches */
export function findByArguments(matches) {
  return allPids().filter((pid) => {
    try {
      return matches(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0'));
    } catch {
      return false;
    }
  });
}

/**
 * These and everything below them.
 * @param {readonly number[]} roots
 */
export function withDescendants(roots) {
  const parents = new Map(allPids().map((pid) => [pid, Number(statFields(pid)?.[1])]));
  const found = new Set(roots);
  for (let before = -1; before !== found.size;) {
    before = found.size;
    for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid);
  }
  return [...found];
}

/**
 * @param {number} pid
 * @param {number} patienceMs between the polite signal and the other one
 */
export async function endProcess(pid, patienceMs) {
  const identity = processIdentity(pid);
  tryKill(pid, 'SIGTERM');
  const until = Date.now() + patienceMs;
  while (identity !== undefined && processIdentity(pid) === identity) {
    if (Date.now() > until) tryKill(pid, 'SIGKILL');
    await sleep(50);
  }
}

/**
 * @param {number} pid
 * @param {NodeJS.Signals} signal
 */
export function tryKill(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}
