import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';

/** Another connection to the database, in a thread of its own, for one thing only. */
export interface Checkpointer {
  /** Opens it, so that whatever is written from now on and does not reach the disk is told to it too. */
  open(): Promise<void>;
  /**
   * Writes what stands in the log into the database file as far as it can without keeping anybody waiting (PASSIVE), and
   * syncs both. Errors: SQLite's own, by their code.
   */
  run(): Promise<void>;
  /** Closes it, where it is open. A later `open` begins anew. */
  close(): Promise<void>;
  /** After `close`: ends the thread. */
  end(): Promise<void>;
}
/** Errors of the calls: ThreadGone where the thread could not begin, or has ended. */
export type OpenCheckpointer = (database: string) => Checkpointer;

export class ThreadGone extends Error {}

/**
 * As a text, because a thread begins from a file of JavaScript, and whether there is one depends on who runs us. Before a
 * close it looks as `lookOnce` does, for the same reason.
 */
const PROGRAM = `
const { parentPort, workerData: { binding, database } } = require('node:worker_threads');
const Sqlite = require(binding);
let db;
const look = () => {
  for (let looks = 0; looks < 8; looks++) {
    try {
      db.prepare('SELECT count(*) FROM sqlite_master').get();
      return;
    } catch {}
  }
};
const orders = {
  open() {
    db ??= new Sqlite(database, { timeout: 0, fileMustExist: true });
    db.pragma('synchronous = NORMAL');
    db.pragma('wal_autocheckpoint = 0');
  },
  run() {
    orders.open();
    db.pragma('wal_checkpoint(PASSIVE)');
  },
  close() {
    if (db === undefined) return;
    look();
    const closing = db;
    db = undefined;
    closing.close();
  },
};
parentPort.on('message', (order) => {
  try {
    orders[order]();
    parentPort.postMessage(null);
  } catch (error) {
    parentPort.postMessage({ code: error.code, message: error.message });
  }
});
`;

type Answer = { readonly code: string | undefined; readonly message: string } | null;

/** The thread begins with the first `open`. Orders are answered in their order. */
export const openCheckpointer: OpenCheckpointer = (database) => {
  const binding = createRequire(import.meta.url).resolve('better-sqlite3');
  const waiting: { resolve(): void; reject(error: Error): void }[] = [];
  let thread: Worker | undefined;
  let gone: ThreadGone | undefined;
  const begin = (): Worker => {
    const begun = new Worker(PROGRAM, { eval: true, workerData: { binding, database } });
    begun.on('message', (answer: Answer) => {
      const order = waiting.shift();
      if (answer === null) order?.resolve();
      else order?.reject(Object.assign(new Error(answer.message), { code: answer.code }));
    });
    begun.on('error', (error) => over(new ThreadGone(error.message, { cause: error })));
    begun.on('exit', () => over(new ThreadGone('the thread has ended')));
    // Whoever waits for an answer keeps the process alive by other means: the store is closed before its end.
    begun.unref();
    return begun;
  };
  const over = (error: ThreadGone): void => {
    gone ??= error;
    for (const order of waiting.splice(0)) order.reject(gone);
  };
  const give = (order: 'open' | 'run' | 'close'): Promise<void> =>
    new Promise((resolve, reject) => {
      if (gone !== undefined) {
        reject(gone);
        return;
      }
      thread ??= begin();
      waiting.push({ resolve, reject });
      // eslint-disable-next-line unicorn/require-post-message-target-origin -- that is a window's; this is a thread
      thread.postMessage(order);
    });
  return {
    open: () => give('open'),
    run: () => give('run'),
    close: () => (thread === undefined || gone !== undefined ? Promise.resolve() : give('close')),
    end: async () => {
      gone ??= new ThreadGone('the thread was ended');
      await thread?.terminate();
    },
  };
};
