import { mkdtempSync, rmSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { FilesSourceSpec } from '../../src/core/config.ts';
import { Inbox } from '../../src/inbox/inbox.ts';
import { SourceHost } from '../../src/inbox/source-host.ts';
import { createFilesSource } from '../../triggers/files/source.ts';
import type { Hints, Watch } from '../../triggers/files/watch.ts';
import { FakeLog } from './fake-log.ts';
import { ManualClock, settle } from './manual-clock.ts';
import { MemoryStore } from './memory-store.ts';
import { SeededIds } from './seeded-ids.ts';

type Source = ReturnType<typeof createFilesSource>;
export interface Running {
  readonly host: SourceHost;
  readonly source: Source;
  /** As the system would tell; nothing is heard otherwise. */
  readonly hints: Hints;
}

/** A real folder, watched on a clock that stands still; what the system would tell is told by the test. */
export class FilesRig {
  /** A second ahead of the machine: what a test has written so far was there before the first start. */
  readonly clock = new ManualClock(Date.now() + 1000);
  readonly store = new MemoryStore(this.clock);
  readonly log = new FakeLog();
  readonly root: string;
  readonly #base = mkdtempSync(join(tmpdir(), 'tappet-files-'));
  readonly #running: Running[] = [];
  #starts = 0;

  constructor() {
    this.root = join(this.#base, 'inbox');
    onTestFinished(() => rmSync(this.#base, { recursive: true, force: true }));
    onTestFinished(() => Promise.all(this.#running.map(({ host }) => host.stop())).then(() => undefined));
  }

  /** Another call is another process on the same store. */
  async start(
    spec: Partial<FilesSourceSpec> = {},
    store: Pick<MemoryStore, 'acceptEvents' | 'readState' | 'scanState'> = this.store,
  ): Promise<Running> {
    const whole: FilesSourceSpec = {
      kind: 'files',
      path: this.root,
      glob: '**',
      existing: 'skip',
      settleMs: 2000,
      pollMs: 0,
      ...spec,
    };
    let hints: Hints = { file: nothing, folder: nothing, failed: nothing };
    const heard: Watch = async (_root, _filter, told) => {
      hints = told;
      return async () => undefined;
    };
    const source = createFilesSource({ name: 'in', spec: whole, watch: heard });
    const ids = new SeededIds(++this.#starts);
    const n = this.#starts;
    ids.uid = () => `u-${n}-${this.store.events.size}-${ids.suffix(8)}`;
    const { clock, log } = this;
    const inbox = new Inbox({ store, ids, clock, route: async () => [] });
    const host = new SourceHost({ inbox, store, waitDecided: async () => undefined, clock, ids, log }, [
      { name: 'in', kind: 'files', origin: 'trigger/in', trigger: 'in', source },
    ]);
    const running = {
      host,
      source,
      get hints() {
        return hints;
      },
    };
    this.#running.push(running);
    await host.start();
    await source.idle();
    return running;
  }

  /** Lets time pass second by second, each time until the source has done what there was to do. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) await this.#leap(1);
  }

  /** A minute and what a file needs to settle: one scan, and all that it finds is dealt with. */
  async scanned(): Promise<void> {
    await this.#leap(62);
    await this.#leap(3);
  }

  async #leap(seconds: number): Promise<void> {
    await this.clock.advance(seconds * 1000);
    for (const { source } of this.#running) await source.idle();
    await settle(1);
  }

  /** As if their processes had ended: nobody waits for them any more, and none of their timers fires. */
  abandonAll(): void {
    this.#running.length = 0;
    this.clock.forget();
  }

  async write(name: string, text = name): Promise<void> {
    await writeFile(join(this.root, name), text);
  }
  async move(from: string, to: string): Promise<void> {
    await rename(join(this.root, from), join(this.root, to));
  }

  /** Names of the files that became events, in order. */
  names(): string[] {
    return this.store.list().map(({ event }) => event.subject ?? '');
  }
  /** Paths in the ledger. */
  ledger(): string[] {
    return [...this.store.state.keys()]
      .flatMap((key) => /^trigger\/in f\/(.*)$/su.exec(key)?.[1] ?? [])
      .sort();
  }
  said(): string[] {
    return this.log.lines.map(({ message }) => message);
  }
}

const nothing = (): void => undefined;
