import type { Db } from './db.ts';
import { ThreadGone } from './checkpoint-thread.ts';
import type { Checkpointer } from './checkpoint-thread.ts';

/** Commits between two looks at the log: a look takes two microseconds. */
const LOOK_EVERY = 8;
/** Pages in the log from which on the thread is to be there. */
const BEGIN_PAGES = 1_000;
/**
 * Pages in the log, 16 MiB, that are written into the database file together: the same few pages are written at every
 * commit, and each goes over once only. SQLite's own 1,000 would write them four times as often.
 */
export const CHECKPOINT_PAGES = 4_000;
/** Commits without another try where one failed: each sorts the whole log. */
const REST_COMMITS = 1_000;

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
 * States: `none` → `asked` (the thread was asked to open the database) → `running` → `asked`; from each of them `none`,
 * where our connection was given up or the thread met an error: the thread is to close its own, and begins anew; `gone`
 * where there can be no thread. Then, and where the thread is slow, SQLite does it at commits, at twice the pages.
 *
 * What a crash leaves, at any time: the log, from which the next process makes the same pages. A page is forgotten there
 * only after the database file with it was synced, whoever did that. So an error of the thread is no loss, as it is none
 * where SQLite does this at a commit: the pages stay in the log, and are written again at the next time.
 *
 * The one thing that this must not do is to keep the log's index alive while a connection is given up: the next one would
 * take the log from there, unchecked, where it has to read it from the disk (see `isLeft`).
 */
export class Checkpoints {
  readonly #options: CheckpointsOptions;
  #state: 'none' | 'asked' | 'running' | 'gone' = 'none';
  /** Goes up where the thread is to begin anew: what was asked of it before is void. */
  #generation = 0;
  #commits = 0;
  #restUntil = 0;
  #underWay: Promise<void> = Promise.resolve();
  #closing = 0;

  constructor(options: CheckpointsOptions) {
    this.#options = options;
  }

  /** The thread does not have the database open any longer, since our connection was given up. */
  get isLeft(): boolean {
    return this.#closing === 0;
  }

  /** A commit has been made. */
  committed(): void {
    this.#commits += 1;
    if (this.#commits % LOOK_EVERY !== 0 || this.#commits < this.#restUntil) return;
    if (this.#state === 'running' || this.#state === 'gone') return;
    const pages = pagesInLog(this.#options.database());
    if (pages >= BEGIN_PAGES && this.#state === 'none') this.#do('asked', () => this.#options.thread.open());
    else if (pages >= CHECKPOINT_PAGES) this.#do('running', () => this.#options.thread.run());
  }

  /** Our connection was given up: the thread's is to go too, and begins anew with the next. */
  reset(): void {
    if (this.#state === 'none' || this.#state === 'gone') return;
    this.#state = 'none';
    this.#generation += 1;
    this.#closing += 1;
    const close = (): Promise<void> => this.#options.thread.close().catch(() => undefined);
    this.#underWay = this.#underWay.then(close).then(() => void (this.#closing -= 1));
  }

  /** After the last commit, and before the database is closed: whoever closes it last empties the log. */
  async close(): Promise<void> {
    this.reset();
    this.#state = 'gone';
    await this.#underWay;
    await this.#options.thread.end();
  }

  #do(state: 'asked' | 'running', work: () => Promise<void>): void {
    this.#state = state;
    const generation = this.#generation;
    const isVoid = (): boolean => generation !== this.#generation;
    this.#underWay = this.#underWay.then(async () => {
      if (isVoid()) return;
      try {
        await work();
        if (isVoid() || state !== 'running') return;
        this.#state = 'asked';
        this.#options.database()?.get('PRAGMA wal_checkpoint(PASSIVE)');
      } catch (error) {
        if (error instanceof ThreadGone) this.#state = 'gone';
        else if (!isVoid()) this.#tryLater();
      }
    });
  }

  #tryLater(): void {
    this.#restUntil = this.#commits + REST_COMMITS;
    this.reset();
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
