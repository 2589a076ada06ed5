import { mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { eventually } from '../support/chaos-rounds.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { addOldExecutions } from '../../bench/old-executions.mjs';
import type { OldShape } from '../../bench/old-executions.mjs';
import { SteadyCaller } from '../support/steady-caller.ts';
import { askDatabase, databaseFaults } from '../support/whole-database.ts';

/** A round: so many executions that ended long ago. */
const EACH = 1_000;
/** These have ended, too, but are to be kept. */
const YOUNG = 100;
const PER_SECOND = 500;
/** Removing goes at some hundreds a second on a busy machine. */
const ROUND_MS = 20_000;

/** More tasks than go in one piece; several attempts; two executions of one event. */
function shapeOf(i: number): OldShape {
  if (i % 500 === 7) return { tasks: 60 };
  if (i % 10 === 3) return { tasks: 3, attempts: 2 };
  return i % 4 < 2 ? { event: Math.floor(i / 4) } : {};
}

const CONFIG: JsonObject = {
  jobs: { none: { image: 'none:1' } },
  triggers: { in: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'none' } } },
};

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-retention-')));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('retention under 500 calls a second', () => {
  const row = chaosRow('retention', 2);

  it(
    'removes what is old with its events and logs, leaves nothing of it and all else, and loses no call',
    async () => {
      row.begin(row.rounds);
      const count = row.rounds * EACH;
      const env = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };
      const program = join(import.meta.dirname, '../support/hasty-gateway.mjs');
      const gateway = new GatewayProcess({ dir, config: CONFIG, env, program });
      const logs = join(gateway.dataDir, 'logs');
      await gateway.start();
      await gateway.stop();
      addOldExecutions(gateway.dataDir, count, { shapeOf });
      addOldExecutions(gateway.dataDir, YOUNG, { shapeOf, prefix: 'young-', young: true });
      expect(readdirSync(logs)).toHaveLength(count + YOUNG);
      const young = rowsOf(gateway, 'young-');
      expect(Object.keys(rowsOf(gateway, 'old-')).sort()).toEqual(Object.keys(young).sort());

      await gateway.start();
      const caller = callerOf(gateway);
      const left = (): number => readdirSync(logs).filter((name) => name.startsWith('old-')).length;
      await eventually('the removal begins', () => (left() < count ? true : undefined), 60_000);
      const before = caller.acknowledged.length;
      await eventually('all logs are gone', () => (left() === 0 ? true : undefined), row.rounds * ROUND_MS);
      const during = caller.acknowledged.length - before;
      const gone = (path: string, field: string) =>
        gateway.until(path, (page) => ((page[field] as unknown[]).length === 0 ? true : undefined));
      await gone('/api/v1/executions?job=old-job', 'executions');
      await gone('/api/v1/events?type=old-type', 'events');
      await caller.stop();
      await gateway.stop();

      console.log(`${count} executions removed, ${during} calls were acknowledged meanwhile`);
      expect(during).toBeGreaterThan(0);
      expect(caller.calls.filter(({ status }) => status !== 202)).toEqual([]);
      expect(databaseFaults(join(gateway.dataDir, 'tappet.db')).join('; ')).toBe('');
      expect(rowsOf(gateway, 'old-')).toEqual({});
      expect(rowsOf(gateway, 'young-')).toEqual(young);
      expect(readdirSync(logs).sort()).toEqual(Array.from({ length: YOUNG }, (_, i) => `young-${i}`).sort());
      expect(storedIds(gateway)).toEqual(caller.acknowledged.map(({ id }) => id).sort());
    },
    120_000 + row.rounds * 2 * ROUND_MS,
  );
});

const callerOf = (gateway: GatewayProcess): SteadyCaller =>
  new SteadyCaller('call', {
    url: `${gateway.url}/hooks/in`,
    perSecond: PER_SECOND,
    connections: 50,
    headers: (id) => ({ 'idempotency-key': id }),
    body: () => '{}',
  });

/** Each with its one execution. */
const storedIds = (gateway: GatewayProcess): unknown[] =>
  askDatabase(join(gateway.dataDir, 'tappet.db'), [
    `SELECT k.id FROM event_keys k JOIN events e ON e.uid = k.event_uid JOIN executions x ON x.event_uid = e.uid
     WHERE x.job = 'none' ORDER BY k.id`,
  ]).flatMap((rows) => rows.map(([id]) => id));

/** By table and column that holds text, how many values begin with `prefix`; those that have none are left out. */
function rowsOf(gateway: GatewayProcess, prefix: string): Record<string, number> {
  const path = join(gateway.dataDir, 'tappet.db');
  const [columns = []] = askDatabase(path, [
    `SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
     WHERE t.type = 'table' AND c.type = 'TEXT' ORDER BY 1, 2`,
  ]);
  const counts = askDatabase(
    path,
    columns.map(([table, column]) => `SELECT count(*) FROM "${table}" WHERE "${column}" GLOB '${prefix}*'`),
  );
  return Object.fromEntries(
    columns.flatMap(([table, column], i) => {
      const count = Number(counts[i]?.[0]?.[0]);
      return count === 0 ? [] : [[`${table}.${column}`, count]];
    }),
  );
}
