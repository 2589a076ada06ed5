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

/** The thread begins with the first order. Orders are answered in their order. */
export const openCheckpointer: OpenCheckpointer = (database) => new CheckpointThread(database);

class CheckpointThread implements Checkpointer {
  readonly #database: string;
  readonly #waiting: { resolve(): void; reject(error: Error): void }[] = [];
  #thread: Worker | undefined;
  #gone: ThreadGone | undefined;
  #failure: unknown;

  constructor(database: string) {
    this.#database = database;
  }

  open(): Promise<void> {
    return this.#give('open');
  }

  run(): Promise<void> {
    return this.#give('run');
  }

  async close(): Promise<void> {
    if (this.#thread !== undefined && this.#gone === undefined) await this.#give('close');
  }

  async end(): Promise<void> {
    this.#gone ??= new ThreadGone('the thread was ended');
    await this.#thread?.terminate();
  }

  #give(order: 'open' | 'run' | 'close'): Promise<void> {
    return new Promise((resolve, reject) => {
      try {
        if (this.#gone !== undefined) throw this.#gone;
        this.#thread ??= this.#begin();
        this.#waiting.push({ resolve, reject });
        // Whoever waits for an answer is not to be left without one by the end of the process.
        this.#thread.ref();
        // eslint-disable-next-line unicorn/require-post-message-target-origin -- that is a window's; this is a thread
        this.#thread.postMessage(order);
      } catch (error) {
        reject((this.#gone ??= new ThreadGone('no thread could begin', { cause: error })));
      }
    });
  }

  #begin(): Worker {
    const binding = createRequire(import.meta.url).resolve('better-sqlite3');
    const workerData = { binding, database: this.#database };
    const thread = new Worker(PROGRAM, { eval: true, workerData });
    thread.on('message', (answer: Answer) => {
      const order = this.#waiting.shift();
      if (this.#waiting.length === 0) thread.unref();
      if (answer === null) order?.resolve();
      else order?.reject(Object.assign(new Error(answer.message), { code: answer.code }));
    });
    thread.on('error', (error) => (this.#failure = error));
    // Not at its error: until then its connection may be open.
    thread.on('exit', () => {
      this.#gone ??= new ThreadGone('the thread has ended', { cause: this.#failure });
      for (const order of this.#waiting.splice(0)) order.reject(this.#gone);
    });
    return thread;
  }
}
