import type { Db } from './db.ts';
import { ThreadGone } from './checkpoint-thread.ts';
import type { Checkpointer } from './checkpoint-thread.ts';

/** Commits between two looks at the log: a look takes ten microseconds. */
const LOOK_EVERY = 8;
/** Pages in the log from which on the thread is to be there. */
const BEGIN_PAGES = 1_000;
/**
 * Pages in the log, 16 MiB, that are written into the database file together: the same few pages are written at every
 * commit, and each goes over once only. SQLite's own 1,000 would write them four times as often.
 */
export const CHECKPOINT_PAGES = 4_000;

export interface CheckpointsOptions {
  readonly thread: Checkpointer;
  /** The database, where it is open. */
  readonly database: () => Db | null;
}

/**
 * Writes the log into the database file: most of it by a thread, since that takes tens of milliseconds in which nobody
 * would be answered, and the rest, what was committed meanwhile, here. Only when nothing is left in the log is it begun
 * anew and does not grow, and under load something is always left by a thread.
 *
 * States: `none` (no thread yet) → `there` (it has the database open) → `running` → `there`; `gone` where there can be no
 * thread: then SQLite does it at commits, as it also does where the thread is slow, at twice the pages.
 *
 * What a crash leaves, at any time: the log, from which the next process makes the same pages. A page is forgotten there
 * only after the database file with it was synced, whoever did that. So an error is nobody's loss, as it is none where
 * SQLite does this at a commit: the pages stay in the log, and are written again at the next time.
 */
export class Checkpoints {
  readonly #options: CheckpointsOptions;
  #state: 'none' | 'there' | 'running' | 'gone' = 'none';
  #commits = 0;
  #underWay: Promise<void> = Promise.resolve();

  constructor(options: CheckpointsOptions) {
    this.#options = options;
  }

  /** A commit has been made. */
  committed(): void {
    this.#commits += 1;
    if (this.#commits % LOOK_EVERY !== 0 || this.#state === 'running' || this.#state === 'gone') return;
    const pages = pagesInLog(this.#options.database());
    if (pages >= BEGIN_PAGES && this.#state === 'none') this.#do('there', () => this.#options.thread.open());
    else if (pages >= CHECKPOINT_PAGES) this.#do('running', () => this.#most());
  }

  /** The connection was given up: the thread's is to go too, and begins anew with the next. */
  reset(): void {
    if (this.#state === 'gone') return;
    this.#state = 'none';
    this.#underWay = this.#underWay.then(() => this.#options.thread.close().catch(() => undefined));
  }

  /** After the last commit, and before the database is closed: whoever closes it last empties the log. */
  async close(): Promise<void> {
    this.reset();
    this.#state = 'gone';
    await this.#underWay;
    await this.#options.thread.end();
  }

  async #most(): Promise<void> {
    await this.#options.thread.run();
    if (this.#state !== 'running') return;
    this.#state = 'there';
    this.#options.database()?.get('PRAGMA wal_checkpoint(PASSIVE)');
  }

  #do(state: 'there' | 'running', work: () => Promise<void>): void {
    this.#state = state;
    this.#underWay = this.#underWay.then(work).catch((error: unknown) => {
      if (error instanceof ThreadGone) this.#state = 'gone';
      else this.reset();
    });
  }
}

/** Pages that are not in the database file yet. Only looks (NOOP): takes no lock, writes nothing. */
function pagesInLog(db: Db | null): number {
  try {
    const found = db?.get<{ log: number; checkpointed: number }>('PRAGMA wal_checkpoint(NOOP)');
    return found === undefined ? 0 : found.log - found.checkpointed;
  } catch {
    // The commit itself tells whoever asked for it what the disk says.
    return 0;
  }
}
