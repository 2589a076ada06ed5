// @ts-check
// `node scripts/schema-fixture.mjs <commit>`: what a store of that commit leaves, with rows of every kind, as SQL in
// test/fixtures/schemas/<schema>.sql. Run it for a commit that brings a migration: later ones must still open it.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Sqlite from 'better-sqlite3';
import { dump } from './lib/sql-dump.mjs';
import { fill } from './lib/schema-rows.mjs';
import { root, say } from './lib/say.mjs';

const commit = process.argv[2];
if (commit === undefined) throw new Error('Usage: node scripts/schema-fixture.mjs <commit>');
const folder = mkdtempSync(join(tmpdir(), 'tappet-schema-'));
try {
  const sources = execFileSync('git', ['archive', commit, 'src', 'triggers'], {
    cwd: root,
    maxBuffer: 1 << 28,
  });
  execFileSync('tar', ['-x', '-C', folder], { input: sources });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const path = join(folder, 'tappet.db');
  await fill(await storeOf(folder), path);
  const db = new Sqlite(path, { readonly: true });
  const version = Number(db.pragma('user_version', { simple: true }));
  const file = join(root, `test/fixtures/schemas/${version}.sql`);
  writeFileSync(file, dump(db));
  db.close();
  say(`wrote ${file}`);
} finally {
  rmSync(folder, { recursive: true });
}

/**
 * The store's code of the commit, as one file.
 * @param {string} from
 */
async function storeOf(from) {
  const { rolldown } = await import('rolldown');
  const entry = join(from, 'entry.ts');
  const exported = ["* from './src/stores/sqlite/store.ts'", "{ JOB_DEFAULTS } from './src/core/job.ts'"];
  writeFileSync(entry, exported.map((what) => `export ${what};\n`).join(''));
  const build = await rolldown({ cwd: from, input: entry, platform: 'node', external: ['better-sqlite3'] });
  const file = join(from, 'entry.mjs');
  await build.write({ file, format: 'esm' });
  await build.close();
  return import(pathToFileURL(file).href);
}
