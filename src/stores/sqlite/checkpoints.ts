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
/** Pages for which a commit may wait: some milliseconds. */
const LEFT_PAGES = 300;
/** The thread runs again while more are left, each time with less to do; under more load than that, not for ever. */
const MOST_RUNS = 5;
/** Commits without another try where one failed: each sorts the whole log. */
const REST_COMMITS = 1_000;

export interface CheckpointsOptions {
  readonly thread: Checkpointer;
  /** The database, where it is open. */
  readonly database: () => Db | null;
}

/**
 * Has the log written into the database file by a thread: that takes tens of milliseconds in which the event loop would
 * answer nobody. Only when nothing is left in the log is it begun anew and does not grow, and under load something is
 * always left, what was committed meanwhile. So the thread runs once more for that, while a commit waits for the disk
 * anyway and no other is made.
 *
 * States: `none` → `asked` (the thread was asked to open the database) → `running` → `last` (little is left; the next
 * commit waits for it) → `running` → `asked`; from each of them `none`, where our connection was given up or the thread
 * met an error: the thread is to close its own, and begins anew; `gone` where there can be no thread. Then, and where the
 * thread is slow, SQLite does it at commits, at twice the pages.
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
  #state: 'none' | 'asked' | 'running' | 'last' | 'gone' = 'none';
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

  /** A commit has been made. What this gives is to be waited for before the next is. Never rejects. */
  committed(): Promise<void> | undefined {
    this.#commits += 1;
    if (this.#state === 'last') return this.#do('running', 'asked', () => this.#options.thread.run());
    if (this.#commits % LOOK_EVERY !== 0 || this.#commits < this.#restUntil) return undefined;
    if (this.#state === 'running' || this.#state === 'gone') return undefined;
    const pages = pagesInLog(this.#options.database());
    if (this.#state === 'none' && pages >= BEGIN_PAGES)
      void this.#do('asked', 'asked', () => this.#options.thread.open());
    else if (pages >= CHECKPOINT_PAGES) void this.#do('running', 'last', (isVoid) => this.#runThread(isVoid));
    return undefined;
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

  async #runThread(isVoid: () => boolean): Promise<void> {
    const { thread, database } = this.#options;
    for (let runs = 0; runs < MOST_RUNS && !isVoid(); runs++) {
      if (runs > 0 && pagesInLog(database()) <= LEFT_PAGES) return;
      await thread.run();
    }
  }

  /** In turn. `now` is the state until `work` is done, `next` the one afterwards. */
  #do(
    now: 'asked' | 'running',
    next: 'asked' | 'last',
    work: (isVoid: () => boolean) => Promise<void>,
  ): Promise<void> {
    this.#state = now;
    const generation = this.#generation;
    const isVoid = (): boolean => generation !== this.#generation;
    this.#underWay = this.#underWay.then(async () => {
      if (isVoid()) return;
      try {
        await work(isVoid);
        if (!isVoid() && this.#state === 'running') this.#state = next;
      } catch (error) {
        if (error instanceof ThreadGone) this.#state = 'gone';
        else if (!isVoid()) this.#tryLater();
      }
    });
    return this.#underWay;
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
