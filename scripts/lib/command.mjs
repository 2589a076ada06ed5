// @ts-check
import { stopChildren } from './run.mjs';
import { explain } from './say.mjs';

/** @type {(() => Promise<unknown> | void)[]} */
const undos = [];

/**
 * Done in reverse order when the program ends, however it ends; after a SIGKILL the next run tidies up.
 * @param {() => Promise<unknown> | void} undo
 */
export function atEnd(undo) {
  undos.push(undo);
}

/** SIGHUP: the terminal was closed. */
const SIGNALS = /** @type {const} */ ({ SIGINT: 2, SIGTERM: 15, SIGHUP: 1 });

let interruption = 0;

/**
 * Settles with an exit code when something from outside, or a mistake of ours, ends the program.
 * @returns {Promise<number>}
 */
function interrupted() {
  return new Promise((resolve) => {
    const end = (/** @type {number} */ code) => {
      interruption ||= code;
      resolve(interruption);
    };
    for (const [signal, number] of Object.entries(SIGNALS)) process.on(signal, () => end(128 + number));
    for (const mistake of ['uncaughtException', 'unhandledRejection']) {
      process.on(mistake, (error) => {
        // What breaks because we are stopping things is no news.
        if (interruption === 0) explain(error);
        end(1);
      });
    }
  });
}

/**
 * The frame of every command: runs it, ends the programs that it started, undoes what it left, exits with its code.
 * @param {() => Promise<number>} main
 * @param {{ mayInterrupt?: () => boolean }} [options] `mayInterrupt`: Ctrl-C is now the way to end it, and no failure
 */
export async function command(main, { mayInterrupt = () => false } = {}) {
  let code = await Promise.race([interrupted(), main().catch(failed)]);
  if (code === 128 + SIGNALS.SIGINT && mayInterrupt()) code = 0;
  stopChildren();
  for (const undo of undos.toReversed()) {
    try {
      await undo();
    } catch (error) {
      explain(error);
      code = Math.max(code, 1);
    }
  }
  process.exit(code);
}

/** @param {unknown} error */
function failed(error) {
  if (interruption === 0) explain(error);
  return 1;
}
