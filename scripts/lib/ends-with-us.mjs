// @ts-check
import { onPath } from './run.mjs';

/**
 * The same command so that the kernel ends it with us, however we end, where it can (Linux, with util-linux).
 * @param {string} program
 * @param {readonly string[]} args
 * @returns {[string, string[]]}
 */
export function endsWithUs(program, args) {
  if (process.platform !== 'linux' || !onPath('setpriv')) return [program, [...args]];
  return ['setpriv', ['--pdeathsig', 'KILL', '--', program, ...args]];
}
