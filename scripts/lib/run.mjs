// @ts-check
import { spawn, spawnSync } from 'node:child_process';
import { root } from './say.mjs';

/**
 * @typedef {{ code: number, output: string, signal?: string }} Ran
 * @typedef {{ env?: NodeJS.ProcessEnv, cwd?: string, quiet?: boolean }} RunOptions
 */

/**
 * Runs a program to its end. `quiet` keeps its output for the caller, otherwise it goes to the terminal.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<Ran>}
 */
export function run(command, args, { env = process.env, cwd = root, quiet = true } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit' });
    const forget = rememberChild(child);
    let output = '';
    const collect = (/** @type {Buffer} */ chunk) => (output += chunk.toString());
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    child.on('error', (error) => {
      forget();
      resolve({ code: 127, output: `${command}: ${error.message}` });
    });
    child.on('close', (code, signal) => {
      forget();
      resolve({ code: code ?? 128, output, ...(signal === null ? {} : { signal }) });
    });
  });
}

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set();

/**
 * Programs that run for us end with us: `stopChildren` asks those that still live.
 * @param {import('node:child_process').ChildProcess} child
 */
function rememberChild(child) {
  children.add(child);
  return () => children.delete(child);
}

export function stopChildren() {
  for (const child of children) child.kill('SIGTERM');
}

/** @param {string} program */
export function onPath(program) {
  return (
    spawnSync('sh', ['-c', `command -v "${program}"`], { stdio: 'ignore', env: withSbin() }).status === 0
  );
}

/** Daemons live in sbin, which is not on everyone's path. */
export function withSbin() {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` };
}

/**
 * The last lines of a program's output, for a message.
 * @param {string} output
 * @param {number} [lines]
 */
export function tail(output, lines = 25) {
  return output.trimEnd().split('\n').slice(-lines).join('\n');
}
