import { statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { isTerminal } from '../../../src/core/states.ts';
import { MIGRATIONS } from '../../../src/stores/sqlite/migrations.ts';
import { SqliteStore } from '../../../src/stores/sqlite/store.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import {
  SCHEMAS,
  asBefore,
  integrityOf,
  restore,
  schemaOf,
  shapeOf,
  tablesOf,
} from '../../support/schema-fixtures.ts';
import { SeededIds } from '../../support/seeded-ids.ts';
import { tempFolder } from '../../support/temp-folder.ts';

/** Came together with a later one, so that no database of theirs can be anywhere. */
const NEVER_LANDED = [2, 3, 4, 6, 7];
const TODAY = MIGRATIONS.length;
/** A day after everything in the fixtures. */
const LATER = Date.parse('2026-03-02T12:00:00Z');

let path = '';
beforeEach(() => void (path = join(tempFolder(), 'tappet.db')));

const clock = new ManualClock(LATER);
async function opened<T>(use: (store: SqliteStore) => Promise<T>): Promise<T> {
  const store = new SqliteStore({ path, clock, ids: new SeededIds(99) });
  await store.open();
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}
const open = (): Promise<void> => opened(() => Promise.resolve());

describe('every schema that was ever landed', () => {
  it('has a database here: before a migration is added, one of the schema before it', () => {
    const landed = Array.from({ length: TODAY - 1 }, (_, i) => i + 1).filter(
      (one) => !NEVER_LANDED.includes(one),
    );
    const missing = landed.filter((one) => !SCHEMAS.includes(one));
    expect(missing, 'run `node scripts/schema-fixture.mjs <commit>` for a commit with this schema').toEqual(
      [],
    );
    expect(SCHEMAS.filter((one) => one > TODAY)).toEqual([]);
  });

  it.each(SCHEMAS)('%i: its database is small, whole, and has rows in every table', (schema) => {
    restore(schema, path);
    expect(statSync(path).size).toBeLessThan(300_000);
    expect(integrityOf(path)).toEqual([{ integrity_check: 'ok' }]);
    const empty = Object.entries(tablesOf(path)).filter(([, rows]) => rows.length === 0);
    expect(empty.map(([table]) => table)).toEqual([]);
    const states = new Set(tablesOf(path)['executions']?.map(({ state }) => state));
    expect(states).toEqual(new Set(['PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED']));
  });
});

describe.each(SCHEMAS)('a database of schema %i', (schema) => {
  beforeEach(() => restore(schema, path));

  it('is opened by today’s store, and its rows are what they were', async () => {
    const before = tablesOf(path);
    expect(schemaOf(path)).toBe(schema);
    await open();
    expect(schemaOf(path)).toBe(TODAY);
    expect(integrityOf(path)).toEqual([{ integrity_check: 'ok' }]);
    expect(asBefore(before, tablesOf(path))).toEqual(before);
  });

  it('has the shape of a new one afterwards', async () => {
    await open();
    const upgraded = shapeOf(path);
    path = join(tempFolder(), 'new.db');
    await open();
    expect(upgraded).toEqual(shapeOf(path));
  });

  it('is not changed by opening it once more', async () => {
    await open();
    const once = tablesOf(path);
    await open();
    expect(tablesOf(path)).toEqual(once);
  });

  it('reads as rows of today, and what was under way goes on to its end', async () => {
    await opened(async (store) => {
      const lease = await store.acquireEngine('engine', 'heir', 20_000);
      const { epoch } = lease.held ? lease : { epoch: -1 };
      expect(epoch).toBe(2);
      const claims = await store.openAttempts('engine');
      const rows = tablesOf(path)['attempts']?.filter(({ end_time: ended }) => ended === null) ?? [];
      expect(new Set(claims.map(({ attempt }) => attempt.containerName))).toEqual(
        new Set(rows.map(({ container_name: name }) => name)),
      );
      for (const { attempt: key } of claims) {
        const result = { state: 'FAILED', reason: 'CONTAINER_START_FAILED', message: 'No.' } as const;
        const end = { ...result, exitCode: null, signal: null, endTime: LATER };
        await store.finishAttempt({ key, epoch, result: end, logBytes: null });
      }
      const left = await store.listExecutions({}, { size: 100 });
      for (const { name, state } of left.items)
        if (!isTerminal(state)) await store.cancelExecution(name, 'me');
      const all = await store.listExecutions({}, { size: 100 });
      expect(all.items.filter(({ state }) => !isTerminal(state))).toEqual([]);
      for (const { name, toRun, counters } of all.items) {
        const { running, succeeded, failed, cancelled } = counters;
        expect([name, running, succeeded + failed + cancelled]).toEqual([name, 0, toRun]);
      }
    });
  });
});
