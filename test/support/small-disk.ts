import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

const FILLER = 'filler-';
/** Each takes all that is left; whoever else writes meanwhile makes one fail, and the next takes less. */
const MAX_FILLERS = 1_000;

/** A file system of a few MiB in memory, which a test fills to its last page, and gives room again. */
export class SmallDisk {
  readonly path: string;
  #fillers = 0;

  /** Half of it is ballast from the beginning, so that there is room afterwards, whatever was written before. */
  constructor(path: string, mebibytes: number) {
    this.path = path;
    mkdirSync(path, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}M,mode=700`, 'tmpfs', path]);
    this.#fallocate(mebibytes * 512 * 1024);
  }

  fill(): void {
    while (this.#fillers < MAX_FILLERS) {
      const { bavail, bsize } = statfsSync(this.path);
      if (bavail === 0) return;
      this.#fallocate(bavail * bsize);
    }
    throw new Error(`${this.path} is not full after ${MAX_FILLERS} files`);
  }

  free(): void {
    for (const name of readdirSync(this.path))
      if (name.startsWith(FILLER)) rmSync(join(this.path, name), { force: true });
  }

  /** What others have written there. */
  foreign(): string[] {
    return readdirSync(this.path).filter((name) => !name.startsWith(FILLER));
  }

  end(): void {
    execFileSync('umount', ['-l', this.path]);
  }

  #fallocate(bytes: number): void {
    spawnSync('fallocate', ['-l', String(bytes), join(this.path, `${FILLER}${this.#fillers++}`)]);
  }
}
