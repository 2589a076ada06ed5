import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const LEFT_OUT = ['node_modules', '.git', '.tappet'];

export interface CheckoutCopy {
  readonly dir: string;
  readonly remove: () => void;
}

/** This checkout once more, built if it is, with the same packages: for tests that change it, or run it as another clone. */
export function copyCheckout(without: readonly string[] = []): CheckoutCopy {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-copy-')));
  for (const name of readdirSync(ROOT)) {
    if (LEFT_OUT.includes(name) || without.includes(name) || name.startsWith('dist-')) continue;
    cpSync(join(ROOT, name), join(dir, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  mkdirSync(join(dir, '.tappet'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}
