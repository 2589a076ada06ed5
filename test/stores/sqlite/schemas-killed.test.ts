import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MIGRATIONS } from '../../../src/stores/sqlite/migrations.ts';
import { ROWS } from '../../../scripts/lib/chaos-rows.mjs';
import { chaosRow } from '../../support/chaos-row.ts';
import {
  SCHEMAS,
  asBefore,
  integrityOf,
  restore,
  schemaOf,
  shapeOf,
  tablesOf,
} from '../../support/schema-fixtures.ts';

/**
 * `kill -9` while a database is brought from an earlier schema to today's, before one of the statements on the way:
 * the file is of the old schema or of the new one, nothing of it is lost, and the next start makes the new one of it.
 */
const POINTS = 20;
const root = join(import.meta.dirname, '../../..');
const TODAY = MIGRATIONS.length;
/** From today's schema there is no way to go. */
const EARLIER = SCHEMAS.filter((schema) => schema < TODAY);
const EVERY = EARLIER.flatMap((schema) => Array.from({ length: POINTS }, (_, point) => ({ schema, point })));

describe('kill -9 while a database is brought forward', () => {
  const row = chaosRow('upgrades', EVERY.length);
  const base = mkdtempSync(join(tmpdir(), 'tappet-upgrade-'));
  const module = join(base, 'store.mjs');
  const statements = new Map<number, number>();
  const versions = new Set<string>();

  beforeAll(async () => {
    symlinkSync(join(root, 'node_modules'), join(base, 'node_modules'));
    await bundleStore(join(base, 'entry.ts'), module);
    for (const schema of EARLIER) {
      const path = join(base, `${schema}.db`);
      restore(schema, path);
      statements.set(schema, Number(opened(module, path, 0).stdout));
    }
  });
  afterAll(() => rmSync(base, { recursive: true }));

  it('has as many rounds in full as there are schemas and points', () => {
    expect(ROWS.find(({ name }) => name === 'upgrades')?.full).toBe(EVERY.length);
  });

  it.each(row.pick(EVERY))('schema $schema, point $point', ({ schema, point }) => {
    row.begin();
    const path = join(base, `${schema}-${point}.db`);
    restore(schema, path);
    const [before, shape] = [tablesOf(path), shapeOf(path)];
    const all = statements.get(schema) ?? 0;
    expect(all).toBeGreaterThan(POINTS);
    const at = 1 + Math.floor((point * (all - 1)) / (POINTS - 1));
    expect(opened(module, path, at).signal).toBe('SIGKILL');

    const version = schemaOf(path);
    versions.add(version === schema ? 'old' : 'new');
    expect([schema, TODAY]).toContain(version);
    expect(asBefore(before, tablesOf(path))).toEqual(before);
    if (version === schema) expect(shapeOf(path)).toEqual(shape);

    expect(opened(module, path, 0)).toMatchObject({ status: 0, signal: null });
    expect(schemaOf(path)).toBe(TODAY);
    expect(integrityOf(path)).toEqual([{ integrity_check: 'ok' }]);
    expect(asBefore(before, tablesOf(path))).toEqual(before);
    expect(shapeOf(path)).toEqual(shapeOf(join(base, `${schema}.db`)));
  });

  it('left the old schema at some points and the new one at others', () => {
    // A share of the points may all lie on one side.
    const wanted = row.rounds < EVERY.length ? [...versions] : ['old', 'new'];
    expect(versions).toEqual(new Set(wanted));
  });
});

const opened = (module: string, path: string, at: number) =>
  spawnSync(process.execPath, [join(root, 'test/support/migrate-and-die.mjs'), module, path, String(at)], {
    encoding: 'utf8',
  });

async function bundleStore(entry: string, file: string): Promise<void> {
  const from = (path: string): string => JSON.stringify(join(root, 'src', path));
  const exported = [
    `{ SqliteStore } from ${from('stores/sqlite/store.ts')}`,
    `{ openConnection } from ${from('stores/sqlite/driver.ts')}`,
    `{ SystemClock } from ${from('lib/system-clock.ts')}`,
  ];
  writeFileSync(entry, exported.map((what) => `export ${what};\n`).join(''));
  const build = await rolldown({ cwd: root, input: entry, platform: 'node', external: ['better-sqlite3'] });
  await build.write({ file, format: 'esm' });
  await build.close();
}
