import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { onAbort, pause, Service } from '../lib/service.ts';
import { isConfigName } from './documents.ts';

/** Between two looks. A file system's notices would come sooner, but not from every file system. */
const LOOK_MS = 1_000;

export interface ConfigWatchOptions {
  /** The file or the folder. */
  readonly path: string;
  /** `configSignature` from before the configuration in use was read. */
  readonly seen: string;
  readonly clock: Clock;
  /** Reads the configuration; gives the ms after which to try again though nothing has changed. Never rejects. */
  reload(): Promise<number | undefined>;
}

/**
 * What tells two states of a file apart, or of a folder and the files of it that count, without reading them. What
 * cannot be looked at has a signature too.
 */
export async function configSignature(path: string): Promise<string> {
  try {
    const info = await stat(path, { bigint: true });
    if (!info.isDirectory()) return await signatureOf(path);
    const names = (await readdir(path)).filter(isConfigName).sort();
    const lines = await Promise.all(
      names.map(async (name) => `${JSON.stringify(name)} ${await signatureOf(join(path, name))}`),
    );
    return `folder ${info.ino}\n${lines.join('\n')}`;
  } catch (error) {
    return codeOf(error);
  }
}

async function signatureOf(file: string): Promise<string> {
  try {
    const { mtimeNs, size, ino } = await stat(file, { bigint: true });
    return `${mtimeNs} ${size} ${ino}`;
  } catch (error) {
    return codeOf(error);
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';

/**
 * Looks at the configuration once a second. One that differs from what was read last and is the same at two looks is
 * read; until then somebody may still be writing. A signature is taken before the read that it stands for, so that
 * what changes during the read is found by the next looks.
 */
export class ConfigWatch extends Service {
  readonly #options: ConfigWatchOptions;
  #asked = false;
  #wake = (): void => undefined;

  constructor(options: ConfigWatchOptions) {
    super();
    this.#options = options;
  }

  /** Has it read now, changed or not. */
  ask(): void {
    this.#asked = true;
    this.#wake();
  }

  protected async run(signal: AbortSignal): Promise<void> {
    const { path, clock, seen } = this.#options;
    let read = seen;
    let last = seen;
    let again = Infinity;
    while (!signal.aborted) {
      await this.#pause(signal);
      if (signal.aborted) return;
      const asked = this.#asked;
      this.#asked = false;
      const now = await configSignature(path);
      const changed = now !== read && now === last;
      last = now;
      if (!asked && !changed && clock.now() < again) continue;
      read = now;
      const retryMs = await this.#options.reload();
      again = retryMs === undefined ? Infinity : clock.now() + retryMs;
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    if (this.#asked) return;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    const forget = onAbort(signal, this.#wake);
    await pause(this.#options.clock, LOOK_MS, woken.signal);
    forget();
  }
}
