import files from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

/** What changes a disk, in the order in which it happened. */
export interface Step {
  readonly call: string;
  readonly path: string;
  /** Of `link` and `rename`. */
  readonly to?: string;
}
/** `half`: the first half of a write, and then the end. */
export type Side = 'before' | 'after' | 'half';

const CHANGES = ['chmod', 'chown', 'link', 'mkdir', 'rename', 'rm'] as const;
const HANDLE_CHANGES = new Set(['chmod', 'chown', 'sync', 'writeFile']);

/**
 * Stands between the product and `node:fs/promises`, for everything below one folder: records each step, and lets the
 * process "die" at one: from then on nothing more reaches the disk, clean-up neither.
 */
export class WatchedFiles {
  readonly steps: Step[] = [];
  dead = false;
  readonly #folder: string;
  readonly #deathAt: { readonly step: number; readonly side: Side } | undefined;

  constructor(folder: string, deathAt?: { readonly step: number; readonly side: Side }) {
    this.#folder = folder;
    this.#deathAt = deathAt;
  }

  /** Runs with the file system watched; tells how it ended. */
  async during(run: () => Promise<unknown>): Promise<'done' | 'died'> {
    const real = { ...files };
    for (const call of CHANGES) {
      const act = real[call] as (...args: unknown[]) => Promise<unknown>;
      this.#replace(call, (args) => this.#step(call, args, act));
    }
    this.#replace('open', async (args) => {
      const creates = args[1] !== 'r';
      const open = real.open as (...all: unknown[]) => Promise<FileHandle>;
      const handle = creates ? await this.#step('create', args, open) : await open(...args);
      return this.#handle(handle, String(args[0]));
    });
    syncBuiltinESMExports();
    try {
      await run();
      return 'done';
    } catch (error) {
      if (this.dead) return 'died';
      throw error;
    } finally {
      Object.assign(files, real);
      syncBuiltinESMExports();
    }
  }

  #replace(name: string, fn: (args: unknown[]) => Promise<unknown>): void {
    const original = Reflect.get(files, name) as (...args: unknown[]) => Promise<unknown>;
    const watched = async (...args: unknown[]): Promise<unknown> => {
      if (!args.some((arg) => typeof arg === 'string' && arg.startsWith(this.#folder)))
        return original(...args);
      this.#mustLive();
      return fn(args);
    };
    Object.assign(files, { [name]: watched });
  }

  #handle(handle: FileHandle, path: string): FileHandle {
    return new Proxy(handle, {
      get: (inner, key) => {
        const value: unknown = Reflect.get(inner, key);
        if (typeof value !== 'function') return value;
        const method = value.bind(inner) as (...args: unknown[]) => Promise<unknown>;
        if (!HANDLE_CHANGES.has(String(key))) return method;
        return (...args: unknown[]) =>
          this.#step(String(key), [path, ...args], (_path, ...rest) => method(...rest));
      },
    });
  }

  async #step<T>(call: string, args: unknown[], act: (...args: unknown[]) => Promise<T>): Promise<T> {
    this.#mustLive();
    const [path, second] = args;
    const moves = call === 'link' || call === 'rename';
    this.steps.push({ call, path: String(path), ...(moves ? { to: String(second) } : {}) });
    const side = this.#deathAt?.step === this.steps.length - 1 ? this.#deathAt.side : undefined;
    if (side === 'before') this.#die();
    if (side === 'half') args[1] = String(second).slice(0, String(second).length / 2);
    const result = await act(...args);
    if (side !== undefined) {
      // The end of a process closes what it had open.
      if (call === 'create') await (result as FileHandle).close();
      this.#die();
    }
    return result;
  }

  #mustLive(): void {
    if (this.dead) throw new Error('dead processes do nothing');
  }

  #die(): never {
    this.dead = true;
    throw new Error('died');
  }
}
