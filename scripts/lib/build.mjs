// @ts-check
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundle } from './bundle.mjs';
import { withLock } from './lock.mjs';
import { SetupError, root, step } from './say.mjs';

const STAMP = 'dist/.built-from';

/**
 * dist/ matches the sources afterwards. It is made beside the old one and takes its place by a rename, so that a
 * command that runs meanwhile never sees half of it.
 */
export async function ensureBuilt() {
  if (builtFrom() === sourceHash()) return;
  await withLock(join(root, '.tappet/build.lock'), async () => {
    if (builtFrom() === sourceHash()) return;
    await step('compiling', build);
  });
}

async function build() {
  const hash = sourceHash();
  const fresh = `dist-${process.pid}`;
  const old = `dist-${process.pid}-old`;
  try {
    await bundle(root, join(root, fresh)).catch((error) => {
      throw new SetupError(`The sources do not compile:\n${error.message}`);
    });
    // npx and a link to it need the bit.
    chmodSync(join(root, fresh, 'src/cli.js'), 0o755);
    writeFileSync(join(root, fresh, '.built-from'), hash);
    if (existsSync(join(root, 'dist'))) renameSync(join(root, 'dist'), join(root, old));
    renameSync(join(root, fresh), join(root, 'dist'));
  } finally {
    rmSync(join(root, fresh), { recursive: true, force: true });
    rmSync(join(root, old), { recursive: true, force: true });
  }
}

function builtFrom() {
  try {
    return readFileSync(join(root, STAMP), 'utf8');
  } catch {
    return '';
  }
}

/** Of contents, not of times: a checkout of another branch and back compiles nothing. */
function sourceHash() {
  const hash = createHash('sha256');
  const files = ['src', 'triggers'].flatMap((dir) =>
    readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(dir, name)),
  );
  for (const file of [...files.sort(), 'scripts/lib/bundle.mjs', 'package-lock.json']) {
    hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}
