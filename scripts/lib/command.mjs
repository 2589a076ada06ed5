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

/** Settles with an exit code when something from outside, or a mistake of ours, ends the program. */
const interrupted = new Promise((/** @type {(code: number) => void} */ resolve) => {
  for (const [signal, number] of Object.entries(SIGNALS)) process.on(signal, () => resolve(128 + number));
  for (const mistake of ['uncaughtException', 'unhandledRejection']) {
    process.on(mistake, (error) => {
      explain(error);
      resolve(1);
    });
  }
});

/**
 * The frame of every command: runs it, ends the programs that it started, undoes what it left, exits with its code.
 * @param {() => Promise<number>} main
 */
export async function command(main) {
  let code = await Promise.race([main().catch(failed), interrupted]);
  stopChildren();
  for (const undo of undos.reverse()) {
    try {
      await undo();
    } catch (error) {
      code = Math.max(code, failed(error));
    }
  }
  process.exit(code);
}

/** @param {unknown} error */
function failed(error) {
  explain(error);
  return 1;
}
