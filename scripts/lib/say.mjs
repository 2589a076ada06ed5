// @ts-check
// What the set-up says to people: one line per step, on stderr, so that stdout stays the command's own.
import { createInterface } from 'node:readline/promises';

export const root = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');

/** A problem that the person at the keyboard can solve; its message is all they need to see. */
export class SetupError extends Error {}

/** @param {string} text */
export function say(text) {
  process.stderr.write(`${text}\n`);
}

/** @param {number} ms */
export function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

/**
 * Runs one step of the set-up and tells how long it took, where that was long enough to be noticed.
 * @template T
 * @param {string} what what is being done, as a person would say it
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(what, work) {
  const start = Date.now();
  say(`set-up: ${what} …`);
  const result = await work();
  if (Date.now() - start > 5_000) say(`set-up: … done after ${seconds(Date.now() - start)}`);
  return result;
}

/** Whether to go on without asking: nobody is there, or they said so beforehand. */
function unattended() {
  const ci = process.env['CI'];
  return process.argv.includes('--yes') || ci === '1' || ci === 'true' || !process.stdin.isTTY;
}

/**
 * Says what is about to happen; on a terminal it asks first.
 * @param {string} what
 */
export async function consent(what) {
  if (unattended()) {
    say(`set-up: ${what}`);
    return true;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`set-up: ${what}\nGo on? [Y/n] `);
    return /^(y|yes|)$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}

/**
 * Ends the program the way a person can use: a SetupError is its message, anything else is ours and keeps its stack.
 * @param {unknown} error
 */
export function explain(error) {
  if (error instanceof SetupError) say(`\n${error.message}`);
  else say(`\n${error instanceof Error ? error.stack : String(error)}`);
}
