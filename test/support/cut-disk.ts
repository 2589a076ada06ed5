import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

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

  /** Takes the copy. Whoever writes must be stopped meanwhile, or the copy is a smear of several moments. */
  cut(): void {
    execFileSync('cp', ['--sparse=always', this.#image, this.#cut]);
  }

  /** What SQLite finds in the copy; `ids` is the first column of `query`. Errors: the query fails there. */
  read(database: string, query: string): { integrity: string; ids: Set<string> } {
    const mountPoint = `${this.path}.mount`;
    mkdirSync(mountPoint, { recursive: true });
    execFileSync('mount', ['-o', 'loop', this.#cut, mountPoint]);
    try {
      const args = ['-c', READ, join(mountPoint, database), query];
      const out = execFileSync('python3', args, { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });
      const [integrity = '', ...ids] = out.toString().trim().split('\n');
      return { integrity, ids: new Set(ids) };
    } finally {
      execFileSync('umount', [mountPoint]);
    }
  }
}
