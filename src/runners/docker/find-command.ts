import { posix } from 'node:path';
import type { ContainerSpec } from '../../core/runner.ts';
import { isSymlink } from './engine-client.ts';
import type { EngineClient } from './engine-client.ts';
import type { EngineContainer } from './engine-shapes.ts';
import { commandFailure } from './start-failure.ts';

// Of Go's file mode, as the engine reports it.
const IS_DIRECTORY = 2 ** 31;
/** Where Podman puts its init into a container; `/dev/init` until 4.2. */
const PODMAN_INITS: ReadonlySet<string> = new Set(['/run/podman-init', '/dev/init']);
const MAX_KNOWN = 500;
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Finds out before a start that its program is not there. With an init process in front, the engine starts that one,
 * reports success, and a mistyped command looks like a program of the user's that exited 127. What was found once for
 * an image is known, so that a warm start asks nothing.
 */
export class CommandCheck {
  readonly #client: EngineClient;
  readonly #known = new Set<string>();

  constructor(client: EngineClient) {
    this.#client = client;
  }

  /** Errors: CONTAINER_START_FAILED, ENGINE_UNAVAILABLE. */
  async check(spec: ContainerSpec): Promise<void> {
    const key = keyOf(spec);
    if (this.#known.has(key)) return;
    const container = await this.#client.inspectContainer(spec.name);
    if (container === null) return;
    // Without an init in front, the engine itself says at the start what is wrong with the program.
    const program = programOf(container);
    if (container.HostConfig.Init === true && program !== '')
      await this.#lookFor(spec, program, placesOf(program, container));
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.add(key);
  }

  async #lookFor(spec: ContainerSpec, program: string, places: readonly string[]): Promise<void> {
    let found = false;
    for (const path of places) {
      const mode = await this.#client.statPath(spec.name, path);
      if (mode === null) continue;
      found = true;
      if (isExecutable(mode)) return;
    }
    throw commandFailure(spec, program, found ? 'not-executable' : 'missing');
  }
}

/** Docker names the program of the job, Podman its init, which has that in its arguments, behind `--`. */
function programOf({ Path, Args }: EngineContainer): string {
  return PODMAN_INITS.has(Path) && Args?.[0] === '--' ? (Args[1] ?? '') : Path;
}

/** Where the program may be: as `execvp` looks for it. */
function placesOf(program: string, { Config }: EngineContainer): string[] {
  const workingDir = Config.WorkingDir || '/';
  if (program.includes('/')) return [posix.resolve(workingDir, program)];
  const path =
    Config.Env?.findLast((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) ?? DEFAULT_PATH;
  return path.split(':').map((folder) => posix.resolve(workingDir, folder, program));
}

/** A symbolic link may lead to anything: it is given the benefit of the doubt. */
function isExecutable(mode: number): boolean {
  const has = (bit: number) => Math.floor(mode / bit) % 2 === 1;
  return isSymlink(mode) || (!has(IS_DIRECTORY) && (mode & 0o111) !== 0);
}

function keyOf({ digest, command, args, env, workingDir, binds }: ContainerSpec): string {
  const program = command?.[0] ?? null;
  // Without a command of its own an image may take the program from the first argument.
  const first = program === null ? (args?.[0] ?? null) : null;
  return JSON.stringify([digest, program, first, env['PATH'] ?? null, workingDir ?? null, binds]);
}
