import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Python's own SQLite reads the copy: the reader must not be the writer's library. */
const READ = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("pragma integrity_check").fetchone()[0])
for (i,) in db.execute(sys.argv[2]): print(i)
`;

/** An ext4 file system in an image file. A copy of the image is what the disk would hold after a power cut. */
export class CutDisk {
  readonly path: string;
  readonly #image: string;
  readonly #cut: string;

  constructor(base: string, name: string) {
    this.path = join(base, name);
    this.#image = join(base, `${name}.img`);
    this.#cut = join(base, `${name}.cut`);
  }

  make(): void {
    mkdirSync(this.path);
    execFileSync('truncate', ['-s', '192M', this.#image]);
    execFileSync('mkfs.ext4', ['-q', '-F', this.#image]);
    execFileSync('mount', ['-o', 'loop', this.#image, this.path]);
  }

  end(): void {
    execFileSync('umount', [this.path]);
  }

  /**
   * Takes the copy; whoever writes must be stopped. The kernel goes on writing behind him (the journal, pages that
   * nobody has synced yet), so what was copied is of one moment only where the disk still has every byte of it.
   */
  cut(): void {
    for (let tries = 0; tries < 10; tries++) {
      execFileSync('cp', ['--sparse=always', this.#image, this.#cut]);
      if (spawnSync('cmp', ['-s', this.#image, this.#cut]).status === 0) return;
    }
    throw new Error(`${this.#image} does not come to rest`);
  }

  /** What is taken out of the copy. */
  get #taken(): string {
    return `${this.path}.read`;
  }

  /**
   * What SQLite finds in the copy; `ids` is the first column of `query`. Journal and files are read by ext4's own
   * tools: a mount would go through the kernel's caches of the devices of copies before. Errors: the query fails there.
   */
  read(database: string, query: string): { integrity: string; ids: Set<string> } {
    const folder = this.#taken;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    // 1: the journal was replayed.
    const replayed = spawnSync('e2fsck', ['-y', '-E', 'journal_only', this.#cut], { encoding: 'utf8' });
    if (replayed.status !== 0 && replayed.status !== 1)
      throw new Error(`e2fsck ${replayed.status}: ${replayed.stdout}${replayed.stderr}`);
    const copy = join(folder, 'copy.db');
    // One that is not there makes no file.
    for (const end of ['', '-wal'])
      execFileSync('debugfs', ['-R', `dump /${database}${end} ${copy}${end}`, this.#cut], {
        stdio: 'ignore',
      });
    const args = ['-c', READ, copy, query];
    const out = execFileSync('python3', args, { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });
    const [integrity = '', ...ids] = out.toString().trim().split('\n');
    return { integrity, ids: new Set(ids) };
  }

  /** Takes a folder out of the copy that was just read; gives where it is. */
  folder(path: string): string {
    execFileSync('debugfs', ['-R', `rdump /${path} ${this.#taken}`, this.#cut], { stdio: 'ignore' });
    return join(this.#taken, basename(path));
  }
}
