import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { pack as newPack } from 'tar-stream';
import type { Pack } from 'tar-stream';
import type { Clock } from '../../core/clock.ts';
import { TappetError } from '../../core/errors.ts';
import type { ContainerSpec, StagedFile } from '../../core/runner.ts';
import { isCovered } from '../../core/staging.ts';
import { onAbort } from '../../lib/service.ts';
import type { EngineClient } from './engine-client.ts';
import { isSuccess } from './engine-transport.ts';
import { filesFailure } from './start-failure.ts';
import { SOURCE_STALLED_MS, STALLED_MS } from './stalled.ts';

type Entry = ReturnType<Pack['entry']>;

export interface PutDeps {
  readonly client: EngineClient;
  readonly clock: Clock;
}

/**
 * Puts `files` into a container that has not started, as one archive that is made while it is sent: no more than some
 * chunks of it are in memory. Both engines make the folders above a file that are missing (0755, root's) and leave
 * those that are there as they are, which entries for them would not. Docker answers nothing else about the container
 * meanwhile, not even `inspect`: whoever wants to stop or remove it ends this by `signal` first.
 * Errors: what `files` throws, as it is; the reason of `signal`; OBJECT_STORE_UNAVAILABLE (`files` fell silent);
 * CONTAINER_START_FAILED, ENGINE_REFUSED (the engine did not take them), ENGINE_UNAVAILABLE (gone, or took no byte for
 * a minute).
 */
export async function putFiles(
  deps: PutDeps,
  spec: ContainerSpec,
  files: AsyncIterable<StagedFile>,
  signal: AbortSignal | undefined,
): Promise<void> {
  await new Sending(deps, spec, files).run(signal);
}

/**
 * Two that work at once: the filler, which reads `files` into the archive, and the call that sends it.
 *
 *   filling → whole (every file is in the archive) → answered
 *   filling | whole → failed, by whichever fails first: both then end, and its error is what the caller gets
 */
class Sending {
  readonly #deps: PutDeps;
  readonly #spec: ContainerSpec;
  readonly #files: AsyncIterator<StagedFile>;
  readonly #archive = newPack();
  readonly #upload = Readable.from(this.#archive);
  readonly #call = new AbortController();
  #failure: { readonly error: unknown } | null = null;
  #whole = false;
  /** Gives up what the filler waits for now. */
  #giveUp: (error: unknown) => void = () => {};
  #cancelTimer: () => void = () => {};

  constructor(deps: PutDeps, spec: ContainerSpec, files: AsyncIterable<StagedFile>) {
    this.#deps = deps;
    this.#spec = spec;
    this.#files = files[Symbol.asyncIterator]();
    // They are destroyed with the call; what failed is known from there.
    this.#archive.on('error', () => undefined);
    this.#upload.on('error', () => undefined);
  }

  async run(signal: AbortSignal | undefined): Promise<void> {
    const undo = signal === undefined ? () => {} : onAbort(signal, () => this.#fail(signal.reason));
    try {
      this.#throwIfFailed();
      const first = await this.#fromSource(() => this.#files.next(), 'the first file');
      if (first.done !== true) await this.#send(first.value);
    } finally {
      undo();
      this.#cancelTimer();
      this.#upload.destroy();
      this.#archive.destroy();
      letGo(this.#files);
    }
  }

  async #send(first: StagedFile): Promise<void> {
    const filling = this.#fill(first).catch((error: unknown) => this.#fail(error));
    try {
      const { client } = this.#deps;
      const answer = await client.putArchive(this.#spec.name, this.#upload, this.#call.signal);
      if (!isSuccess(answer.status)) throw filesFailure(this.#spec, answer.status, answer.message);
      if (!this.#whole) throw client.transport.broken('taking files', 'it answered before it had them all.');
    } catch (error) {
      this.#fail(error);
    }
    await filling;
    this.#throwIfFailed();
  }

  async #fill(first: StagedFile): Promise<void> {
    await this.#addFile(first);
    for (;;) {
      const next = await this.#fromSource(() => this.#files.next(), 'the next file');
      if (next.done === true) break;
      await this.#addFile(next.value);
    }
    this.#whole = true;
    this.#archive.finalize();
    this.#setTimer(() => this.#engineStalled());
  }

  async #addFile(file: StagedFile): Promise<void> {
    const refused = refusedPlace(file.to, this.#spec);
    if (refused !== null) throw new TappetError('CONTAINER_START_FAILED', refused);
    const header = {
      name: file.to.slice(1),
      size: file.size,
      mode: file.mode ?? 0o644,
      mtime: new Date(this.#deps.clock.now()),
      type: 'file' as const,
    };
    const added: { done: () => void } = { done: () => undefined };
    const entry = this.#archive.entry(header, (error) => {
      if (error === undefined || error === null) added.done();
    });
    entry.on('error', () => undefined);
    await this.#copy(file, entry);
    // A broken archive tells nothing here: whoever broke it ends the waiting.
    await this.#toEngine((done) => {
      added.done = done;
      entry.end(null);
    });
  }

  async #copy(file: StagedFile, entry: Entry): Promise<void> {
    const body = file.body[Symbol.asyncIterator]();
    let bytes = 0;
    try {
      for (;;) {
        const next = await this.#fromSource(() => body.next(), `the file for ${file.to}`);
        if (next.done === true) break;
        bytes += next.value.length;
        if (bytes > file.size) break;
        if (!entry.write(next.value)) await this.#toEngine((done) => entry.once('drain', done));
      }
    } finally {
      letGo(body);
    }
    if (bytes !== file.size) throw wrongLength(file, bytes);
  }

  #fromSource<T>(ask: () => Promise<T>, what: string): Promise<T> {
    return this.#wait(
      (resolve, reject) => void ask().then(resolve, reject),
      () => sourceStalled(what),
      SOURCE_STALLED_MS,
    );
  }

  #toEngine(begin: (done: () => void) => void): Promise<void> {
    return this.#wait<void>(begin, () => this.#engineStalled());
  }

  /** Not by `Promise.race` with one promise for the end: it would keep something of every chunk until then. */
  #wait<T>(
    begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
    stalled: () => TappetError,
    ms = STALLED_MS,
  ): Promise<T> {
    this.#throwIfFailed();
    const waiting = new Promise<T>((resolve, reject) => {
      this.#giveUp = reject;
      this.#setTimer(stalled, ms);
      begin(resolve, reject);
    });
    return waiting.finally(() => this.#cancelTimer());
  }

  #setTimer(stalled: () => TappetError, ms = STALLED_MS): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#deps.clock.setTimer(ms, () => this.#fail(stalled()));
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#cancelTimer();
    this.#call.abort();
    this.#giveUp(error);
  }

  #throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  #engineStalled(): TappetError {
    const why = new Error(`it took no byte for ${STALLED_MS / 1000} s`);
    return this.#deps.client.transport.cut(`putting files into container ${this.#spec.name}`, why);
  }
}

/** Ends an iterator without waiting: one that hangs in `next` would hold back its end too. */
function letGo(iterator: AsyncIterator<unknown>): void {
  void iterator.return?.().then(undefined, () => undefined);
}

/** Why no file can be put there, or null. */
function refusedPlace(to: string, { binds }: ContainerSpec): string | null {
  const below = (folder: string) => to === folder || to.startsWith(`${folder.replace(/\/$/, '')}/`);
  const place = `No file can be put at ${to} in the container`;
  if (!posix.isAbsolute(to) || posix.normalize(to) !== to || to.endsWith('/') || to.includes('\0'))
    return `${place}: it is no absolute path of a file without "." and "..".`;
  if (isCovered(to))
    return `${place}: the engine covers that place with its own at the start. Use another, such as /in/${posix.basename(to)}.`;
  const bind = binds.find((one) => below(one.to));
  if (bind === undefined) return null;
  return `${place}: ${bind.to} is a folder of the host (one of "binds"), where it would stay. Use another place.`;
}

function wrongLength({ to, size }: StagedFile, bytes: number): TappetError {
  const found = bytes > size ? `more than the ${size} bytes` : `${bytes} of the ${size} bytes`;
  const message = `The file for ${to} had ${found} that were announced: it changed while it was read.`;
  return new TappetError('CONTAINER_START_FAILED', message, {
    fix: 'Run it again when nobody writes to it.',
  });
}

/** It may pass, as a file server or a store that is busy does. */
function sourceStalled(what: string): TappetError {
  const message = `Nothing came of ${what} for ${SOURCE_STALLED_MS / 1000} s; it was to be put into the container.`;
  return new TappetError('OBJECT_STORE_UNAVAILABLE', message, {
    fix: 'See that the place it comes from answers.',
  });
}
