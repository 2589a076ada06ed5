import type { FilesSourceSpec } from '../../src/core/config.ts';
import { errorText, isTappetError } from '../../src/core/errors.ts';
import type { SourceContext, SourceProblem, TriggerStatus } from '../../src/core/source.ts';
import { formatDuration } from '../../src/lib/duration.ts';
import { Dealer } from './deal.ts';
import { Folder, type FolderIdentity, type FoundFile, type Refuse } from './folder.ts';
import type { FileFilter } from './glob.ts';
import { beginLedger, writeStart, type Start } from './ledger.ts';
import { scanFolder, type Scanned } from './scan.ts';
import { Settling } from './settling.ts';
import type { StopWatching, Watch } from './watch.ts';

const SCAN_MS = 60_000;
/** Where the system tells nothing, since its limit of watches is reached. */
const UNWATCHED_SCAN_MS = 10_000;
/** A folder that takes long to look through is looked through less often: a fifth of the time at most. */
const REST = 4;
/** Hints of one burst become one look. */
const HINT_MS = 20;
/** A new folder is looked through again: files may have come into it before it was watched. */
const AGAIN_MS = 1_000;
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
const ACCEPT_FILES = 100;
const LOOKS = 64;
/** Some 200 bytes each. More waits for the scan after these are through. */
const WAITING_MAX = 50_000;
const HINTS_MAX = 20_000;
/** So long a folder must have stood at the place of another until it counts as the one that is meant. */
const ADOPT_MS = 24 * 60 * 60_000;

export interface WatchingDeps {
  readonly context: SourceContext;
  readonly name: string;
  readonly spec: FilesSourceSpec;
  readonly filter: FileFilter;
  readonly watch: Watch;
  readonly refuse: Refuse;
}

/** One start of the source, until it is stopped: a single worker that scans, looks and accepts, one after the other. */
export class Watching {
  readonly #deps: WatchingDeps;
  readonly #folder: Folder;
  readonly #settling: Settling;
  readonly #dealer: Dealer;
  readonly #timers = new Set<() => void>();
  readonly #hinted = new Set<string>();
  readonly #folders = new Set<string>();
  #due: string[] = [];
  #scanWanted = true;
  /** There were more files than WAITING_MAX. */
  #leftOver = false;
  #start: Start | undefined;
  #identity: FolderIdentity | undefined;
  #stopWatching: StopWatching | undefined;
  #unwatched = false;
  #cancelScan: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #hintTimer = false;
  #pause = 0;
  /** What is wrong with the folder and has been said. */
  #trouble: SourceProblem | undefined;
  #work: Promise<void> | undefined;
  #stopped = false;

  constructor(deps: WatchingDeps) {
    const { context, spec, filter, refuse } = deps;
    this.#deps = deps;
    this.#folder = new Folder(spec.path, filter, refuse);
    this.#settling = new Settling(context.clock, spec.settleMs, (path) => this.#again(path));
    this.#dealer = new Dealer({
      context,
      spec,
      folder: this.#folder,
      settling: this.#settling,
      refuse,
      again: (path) => this.#again(path),
      moved: ({ path: from }, to) => this.#log('info', 'a file has moved within the folder', { from, to }),
    });
  }

  /** Resolves when hints are being heard; the first scan goes on in the background. Errors: NOT_FOUND, the store's. */
  async start(): Promise<void> {
    this.#identity = await this.#folder.identity();
    this.#start = await beginLedger(this.#deps.context, this.#deps.spec, this.#identity.ino);
    if (!this.#stopped) await this.#watch();
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#timers) cancel();
    this.#cancelScan?.();
    this.#cancelRetry?.();
    this.#settling.clear();
    await this.#stopWatching?.();
    await this.idle();
  }

  /** The folder is not there: what is wrong with it, and since when. */
  get problem(): SourceProblem | undefined {
    return this.#trouble;
  }

  get status(): TriggerStatus | undefined {
    if (this.#start === undefined) return undefined;
    const { since, skipped, done } = this.#start;
    return { firstStart: since, existing: { skipped, complete: done } };
  }

  /** Resolves when nothing is being done: all that was wanted is done, or waits for the clock. */
  async idle(): Promise<void> {
    while (this.#work !== undefined) await this.#work;
  }

  // ---- the worker ------------------------------------------------------------------------------------------

  #wake(): void {
    if (this.#stopped || this.#work !== undefined || this.#cancelRetry !== undefined) return;
    this.#work = this.#run()
      .catch((error: unknown) => this.#retry(error))
      .finally(() => {
        this.#work = undefined;
        // What came after the last look at what there is to do.
        if (this.#hasWork()) this.#wake();
      });
  }

  #hasWork(): boolean {
    return this.#scanWanted || this.#hinted.size + this.#folders.size + this.#due.length > 0;
  }

  async #run(): Promise<void> {
    while (!this.#stopped && this.#hasWork()) {
      if (this.#scanWanted) await this.#scan();
      for (const folder of take(this.#folders, 1)) await this.#lookThrough(folder);
      await Promise.all(take(this.#hinted, LOOKS).map((path) => this.#dealer.look(path)));
      await this.#dealer.settle(this.#due.splice(0, ACCEPT_FILES));
      this.#settling.begin();
      if (this.#leftOver && this.#settling.size < WAITING_MAX / 2) this.#scanWanted = true;
    }
    this.#pause = 0;
  }

  async #scan(): Promise<void> {
    this.#scanWanted = false;
    this.#leftOver = false;
    this.#cancelScan?.();
    const { clock } = this.#deps.context;
    const begun = clock.now();
    const start = await this.#sameFolder();
    const scanned = await scanFolder({ ...this.#scanDeps(), folder: this.#folder }, start);
    if (scanned !== undefined) await this.#scanned(scanned);
    else if (!this.#stopped) this.#start = undefined;
    const { pollMs } = this.#deps.spec;
    const every = pollMs > 0 ? pollMs : this.#unwatched ? UNWATCHED_SCAN_MS : SCAN_MS;
    const rest = Math.max(every, REST * Math.max(0, clock.now() - begun));
    if (this.#start === undefined) this.#scanWanted = true;
    if (!this.#stopped) this.#cancelScan = clock.setTimer(rest, () => this.#wantScan());
  }

  #scanDeps() {
    const { context, spec } = this.#deps;
    return {
      context,
      spec,
      isStopped: () => this.#stopped,
      differs: (file: FoundFile) => this.#see(file),
    };
  }

  async #scanned({ gone, start }: Scanned): Promise<void> {
    this.#start = start;
    const { ino } = await this.#folder.identity();
    // In another folder than that of the ledger nothing is where it was: that says nothing about the files.
    if (ino === start.ino && ino === this.#identity?.ino) await this.#dealer.forget(gone);
    if (start.done) return;
    this.#start = await writeStart(this.#deps.context, { ...start, done: true });
    const message =
      start.skipped > 0
        ? 'files that were there before the first start go into the ledger and start nothing'
        : 'no files were there before the first start';
    if (this.#deps.spec.existing === 'skip') this.#log('info', message, { files: start.skipped });
  }

  /** Makes sure that the folder is there, and which it is. Errors: NOT_FOUND, the store's. */
  async #sameFolder(): Promise<Start> {
    const { context, spec } = this.#deps;
    const found = await this.#folder.identity();
    const other = this.#identity?.ino !== found.ino || this.#identity.dev !== found.dev;
    if (this.#trouble !== undefined) this.#log('info', 'the folder is there again');
    if (other)
      this.#log(
        'warn',
        'another folder stands in the place: replaced, mounted or unmounted; it is watched from now on',
      );
    // Also where it is the same again: what was watched before an unmount tells nothing any more.
    if (other || this.#trouble !== undefined) await this.#watch();
    this.#trouble = undefined;
    this.#identity = found;
    const start = this.#start ?? (await beginLedger(context, spec, found.ino));
    const next = whichFolder(start, found.ino, context.clock.now());
    // Someone else wrote it: what they wrote is as good.
    const written = next === start ? start : await writeStart(context, next);
    return (this.#start = written ?? (await beginLedger(context, spec, found.ino)));
  }

  async #lookThrough(folder: string): Promise<void> {
    for await (const files of this.#folder.walk(folder)) {
      for (const { path } of files) this.#hint(path);
      if (this.#stopped) return;
    }
  }

  #see({ path, stat }: FoundFile): void {
    if (this.#settling.size < WAITING_MAX) this.#settling.see(path, stat);
    else this.#leftOver = true;
  }

  #again(path: string): void {
    this.#due.push(path);
    this.#wake();
  }

  #retry(error: unknown): void {
    if (this.#stopped) return;
    this.#pause = Math.min(Math.max(this.#pause * 2, RETRY_MIN_MS), RETRY_MAX_MS);
    const lost = isTappetError(error, 'NOT_FOUND');
    const message = lost
      ? errorText(error)
      : 'the folder could not be looked through, or its files not stored';
    if (!lost || this.#trouble === undefined)
      this.#log('warn', message, { retryInMs: this.#pause, ...(lost ? {} : { error }) });
    if (lost) this.#trouble = { message, since: this.#trouble?.since ?? this.#deps.context.clock.now() };
    // What was found and not stored is found again.
    this.#settling.clear();
    this.#due = [];
    this.#scanWanted = true;
    this.#cancelRetry = this.#deps.context.clock.setTimer(this.#pause, () => {
      this.#cancelRetry = undefined;
      this.#wake();
    });
  }

  // ---- hints -----------------------------------------------------------------------------------------------

  async #watch(): Promise<void> {
    const { watch, spec, filter } = this.#deps;
    await this.#stopWatching?.();
    this.#unwatched = false;
    this.#stopWatching = await watch(spec.path, filter, {
      file: (path) => this.#hint(path),
      folder: (path) => this.#hintFolder(path),
      failed: (error) => this.#watchFailed(error),
    });
    if (this.#stopped) await this.#stopWatching();
  }

  #hint(path: string): void {
    if (this.#hinted.size < HINTS_MAX) this.#hinted.add(path);
    else this.#wantScan();
    this.#soon();
  }

  #hintFolder(path: string): void {
    if (path === '') return this.#wantScan();
    this.#folders.add(path);
    this.#soon();
    this.#after(AGAIN_MS, () => {
      this.#folders.add(path);
      this.#wake();
    });
  }

  #wantScan(): void {
    this.#scanWanted = true;
    this.#wake();
  }

  #soon(): void {
    if (this.#hintTimer) return;
    this.#hintTimer = true;
    this.#after(HINT_MS, () => {
      this.#hintTimer = false;
      this.#wake();
    });
  }

  #watchFailed(error: unknown): void {
    if (this.#stopped || this.#unwatched) return;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ENOSPC' && code !== 'EMFILE') {
      this.#log('warn', 'the system may not tell of everything in the folder; each scan finds it', { error });
      return;
    }
    this.#unwatched = true;
    const limit = code === 'ENOSPC' ? 'fs.inotify.max_user_watches' : 'fs.inotify.max_user_instances';
    const every = formatDuration(this.#deps.spec.pollMs || UNWATCHED_SCAN_MS);
    this.#log(
      'warn',
      `the system's limit of watched folders is reached: raise ${limit} (sysctl) and restart; until then the folder is looked through every ${every}`,
    );
    void this.#stopWatching?.();
    this.#wantScan();
  }

  #after(ms: number, fn: () => void): void {
    if (this.#stopped) return;
    const cancel = this.#deps.context.clock.setTimer(ms, () => {
      this.#timers.delete(cancel);
      fn();
    });
    this.#timers.add(cancel);
  }

  #log(level: 'info' | 'warn', message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const { context, name, spec } = this.#deps;
    context.log[level](message, { trigger: name, folder: spec.path, ...fields });
  }
}

/** `t` with which folder it is; the same object where nothing changes. */
function whichFolder(start: Start, ino: string, now: number): Start {
  if (ino === start.ino) return start.other === null ? start : { ...start, other: null };
  if (start.other?.ino !== ino) return { ...start, other: { ino, since: now } };
  return now - start.other.since < ADOPT_MS ? start : { ...start, ino, other: null };
}

/** Takes at most `count` out of a set, the oldest first. */
function take(set: Set<string>, count: number): string[] {
  const taken: string[] = [];
  for (const one of set) {
    if (taken.length === count) break;
    taken.push(one);
    set.delete(one);
  }
  return taken;
}
