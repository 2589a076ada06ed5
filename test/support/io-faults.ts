import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const exec = promisify(execFile);

/**
 * What libfiu can make fail of what a gateway asks the disk for, as seen here: SQLite writes, cuts, syncs and
 * opens by `pwrite64`, `ftruncate64`, `fsync` and `open64`, libuv's files by the same and by `pwritev64` and `fdatasync`.
 * All of these go through the C library, which is where libfiu stands. Answers over HTTP go by `writev`.
 */
export const DISK_CALLS = [
  'posix/io/rw/pwrite',
  'posix/io/rw/pwritev',
  'posix/io/rw/writev',
  'posix/io/rw/ftruncate',
  'posix/io/sync/fsync',
  'posix/io/sync/fdatasync',
  'posix/io/oc/open',
] as const;

/** By this libuv also wakes its own threads, and ends the process where that fails, which no kernel ever does. */
export const PLAIN_WRITE = 'posix/io/rw/write';

/** System calls that fail in a running process, by Debian's fiu-utils: their errors are those of the manual pages. */
export class IoFaults {
  /** The words to start a process under. */
  readonly under: readonly string[];
  readonly #pipes: string;

  /** `pipes`: a path for the pipes by which the process is told; its number is put behind it. */
  constructor(pipes: string) {
    this.#pipes = pipes;
    this.under = ['fiu-run', '-x', '-f', pipes];
  }

  /** From now on each of these calls fails so often (0 to 1), and is not made then. */
  async on(pid: number, calls: readonly string[], probability: number): Promise<void> {
    const how = probability === 1 ? 'enable' : 'enable_random';
    const rest = probability === 1 ? '' : `,probability=${probability}`;
    await this.#tell(
      pid,
      calls.map((call) => `${how} name=${call}${rest}`),
    );
  }

  async off(pid: number, calls: readonly string[]): Promise<void> {
    await this.#tell(
      pid,
      calls.map((call) => `disable name=${call}`),
    );
  }

  async #tell(pid: number, commands: readonly string[]): Promise<void> {
    const words = commands.flatMap((command) => ['-c', command]);
    const { stdout, stderr } = await exec('fiu-ctrl', ['-f', this.#pipes, ...words, String(pid)]);
    if (stdout + stderr !== '') throw new Error(`The failures could not be switched: ${stdout}${stderr}`);
  }
}
