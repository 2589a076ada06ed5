import type { FilesSourceSpec } from '../../src/core/config.ts';
import type { Json } from '../../src/core/json.ts';
import type { Log } from '../../src/core/log.ts';
import type {
  ManualEvent,
  Source,
  SourceContext,
  SourceProblem,
  TriggerStatus,
} from '../../src/core/source.ts';
import { manualEvent } from './event.ts';
import type { Refuse } from './folder.ts';
import { createFilter } from './glob.ts';
import { watchFolder, type Watch } from './watch.ts';
import { Watching } from './watching.ts';

/** Different things that are named in the log; a folder full of links must not fill it. */
const SAID_MAX = 1_000;

export interface FilesSourceParams {
  readonly name: string;
  readonly spec: FilesSourceSpec;
  /** How the system's notices are heard. */
  readonly watch?: Watch;
}

/**
 * Each regular file that is finished in a folder becomes one event. The only memory is the ledger, rows by path.
 * A file, by what is known of it:
 *
 * | state   | what it is                                            | goes on                                             |
 * |---------|-------------------------------------------------------|-----------------------------------------------------|
 * | unknown | no row, or a row of another inode, size or mtime      | a scan or a hint looks at it → waiting              |
 * | waiting | in memory: looked at once                             | changed at a look → waiting anew; vanished → unknown; the same after `settle` → known, with an event; the file of a row whose place is empty → known, without one |
 * | known   | has its row                                           | written to, replaced → unknown; gone at a scan → row deleted |
 *
 * Crash points: nothing but the row says that a file was dealt with, and it is written in the transaction that
 * accepts the event. Before that commit the file is unknown to the next start, whose scan finds it, and it waits
 * again; after it, it is known. The same for a move (both rows in one transaction) and for what `existing: skip`
 * leaves aside (rows and the count of them; `t.done` only after the last). Rows are deleted last of all; a crash
 * before leaves them to the next scan.
 *
 * The system's notices are hints: they only say where to look. A scan at the start and each minute (or `poll`) finds
 * what they missed. There is no short way for a file that was renamed into place: what stat tells of it, a ctime later
 * than its mtime, is just what a chmod in the middle of writing looks like. Who always renames sets `settle: 0s`.
 *
 * A file that moves within the folder stays the file it was, so that moving what is done into a folder beside it starts
 * nothing; a second link to it is a new place with a new event. Where the system told the new place of a move and never
 * the old one, the file is settled before a scan misses it there, and counts as new: rather twice than never.
 */
class FilesSource implements Source {
  readonly #params: FilesSourceParams;
  readonly #said = new Set<string>();
  #watching: Watching | undefined;
  #starting: Promise<void> = Promise.resolve();

  constructor(params: FilesSourceParams) {
    this.#params = params;
  }

  async start(context: SourceContext): Promise<void> {
    await this.stop();
    const { name, spec, watch } = this.#params;
    const watching = new Watching({
      context,
      name,
      spec,
      filter: createFilter(spec.glob),
      watch: watch ?? watchFolder,
      refuse: this.#refuse(context.log),
    });
    this.#watching = watching;
    try {
      this.#starting = watching.start();
      await this.#starting;
    } catch (error) {
      await watching.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#watching?.stop();
    this.#watching = undefined;
  }

  /** Resolves when nothing is being done: all that was wanted is done, or waits for the clock. */
  async idle(): Promise<void> {
    // Whether it starts is for its caller to know.
    await this.#starting.catch(() => undefined);
    await this.#watching?.idle();
  }

  problem(): SourceProblem | undefined {
    return this.#watching?.problem;
  }

  status(): TriggerStatus | undefined {
    return this.#watching?.status;
  }

  manual(_time: number, data: Json | undefined): ManualEvent {
    return manualEvent(this.#params.spec.path, data);
  }

  /** Each thing that is passed over is named once. */
  #refuse(log: Log): Refuse {
    const { name, spec } = this.#params;
    return (shown, why) => {
      const message = `${shown} ${why}`;
      if (this.#said.size >= SAID_MAX || this.#said.has(message)) return;
      this.#said.add(message);
      log.warn(message, { trigger: name, folder: spec.path });
      if (this.#said.size === SAID_MAX)
        log.warn('more files are passed over; they are not named any more', {
          trigger: name,
          folder: spec.path,
        });
    };
  }
}

export function createFilesSource(params: FilesSourceParams): FilesSource {
  return new FilesSource(params);
}
