import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/**
 * An acknowledged event always leads to its execution, and a re-sent one to no second, wherever the gateway is
 * killed on the way: before and after each write of the store and each order to the engine.
 */
const METHODS = [
  'store.acceptEvents',
  'store.decide',
  'store.claimAttempts',
  'store.attemptStarted',
  'store.finishAttempt',
  'runner.prepare',
  'runner.ensure',
  'runner.inspect',
  'runner.remove',
];
const PLACES = METHODS.flatMap((method) => [`${method}:before`, `${method}:after`]);
/** The same places again, later in the round: other events are then in other stages. */
const LATER = PLACES.filter((place) => !place.includes('claim')).slice(0, 7);
const USUAL = [...PLACES.map((place) => `${place}:1`), ...LATER.map((place) => `${place}:3`)];
/** In a full run each of them, at the second and the third call too; claims share one call where they can. */
const MORE = PLACES.filter((place) => !place.includes('claim')).flatMap((place) =>
  [`${place}:2`, `${place}:3`].filter((one) => !USUAL.includes(one)),
);
const EVERY = [...USUAL, ...MORE];
const EVENTS = 4;

const config = (results: string): JsonObject => ({
  server: { allowedBinds: [results] },
  jobs: {
    mark: {
      image: TEST_IMAGE,
      command: ['/bin/sh', '-c'],
      args: ['echo "$CLOUD_RUN_TASK_ATTEMPT" >> "/results/$ID"; echo "ran $ID"'],
      timeout: '1m',
      volumes: [{ bind: results, to: '/results', readOnly: false }],
    },
  },
  triggers: {
    mark: {
      source: { kind: 'webhook', auth: 'none' },
      run: { job: 'mark', env: { ID: '${{ event.data.id }}' } },
    },
  },
});

describe('kill -9 at each step between a call and its container', () => {
  const row = chaosRow('gateway-crashes', USUAL.length);
  const rounds = row.pick(EVERY);
  const base = mkdtempSync(join(tmpdir(), 'tappet-places-'));
  const hit = new Set<string>();
  let host = '';
  beforeAll(async () => void (host = await engineHost()));
  afterAll(() => rmSync(base, { recursive: true, force: true }));

  it('runs 25 rounds, or all 50', () => {
    expect([USUAL.length, EVERY.length]).toEqual([25, 50]);
    expect(rounds).toHaveLength(row.rounds);
  });

  it.each(rounds)('%s', async (place) => {
    row.begin();
    const dir = join(base, place.replaceAll(':', '-'));
    const results = mkdtempSync(join(base, 'results-'));
    const record = `${dir}.place`;
    const gateway = new GatewayProcess({
      dir,
      config: config(results),
      env: { DOCKER_HOST: host, CRASH: place, CRASH_RECORD: record },
      program: join(import.meta.dirname, '../support/crash-gateway.mjs'),
    });
    await gateway.start();
    const ids = Array.from({ length: EVENTS }, (_, i) => `id-${i}`);
    const acked = new Map<string, string>();
    await Promise.all(ids.map((id) => send(gateway, id, acked)));
    // With everything acknowledged the end may still be ahead, at an order to the engine.
    expect(await gateway.ended()).toEqual({ code: null, signal: 'SIGKILL' });
    expect(readFileSync(record, 'utf8')).toBe(place);
    hit.add(place);

    await gateway.start({ CRASH: '' });
    await Promise.all(ids.filter((id) => !acked.has(id)).map((id) => send(gateway, id, acked)));
    expect(acked.size).toBe(EVENTS);
    const done = await gateway.until('/api/v1/executions?pageSize=100', (answer) => allEnded(answer, EVENTS));
    expect(done.map((execution) => execution['state'])).toEqual(Array(EVENTS).fill('SUCCEEDED'));
    for (const id of ids) {
      const again = await post(gateway, id);
      expect(again).toMatchObject({ status: 202, body: { duplicate: true } });
      expect((again.body['executions'] as string[])[0]).toBe(
        acked.get(id) ?? (again.body['executions'] as string[])[0],
      );
      expect(existsSync(join(results, id)), `${id} ran`).toBe(true);
      const marks = readFileSync(join(results, id), 'utf8').trim().split('\n');
      expect(new Set(marks).size, `no attempt of ${id} ran twice: ${marks.join(',')}`).toBe(marks.length);
    }
    const after = await gateway.api('GET', '/api/v1/executions?pageSize=100');
    expect((after.json()['executions'] as JsonObject[]).length).toBe(EVENTS);
    await gateway.stop();
  });

  it('was at every place', () => expect([...hit].sort()).toEqual([...new Set(rounds)].sort()));
});

function allEnded(answer: JsonObject, count: number): JsonObject[] | undefined {
  const executions = answer['executions'] as JsonObject[];
  const ended = executions.every((execution) =>
    /SUCCEEDED|FAILED|CANCELLED/.test(String(execution['state'])),
  );
  return executions.length >= count && ended ? executions : undefined;
}

/** Sends as a careful sender does; an answer that never came says nothing, so the caller sends again later. */
async function send(gateway: GatewayProcess, id: string, acked: Map<string, string>): Promise<void> {
  try {
    const answer = await post(gateway, id);
    if (answer.status === 202) acked.set(id, (answer.body['executions'] as string[])[0] ?? '');
  } catch {
    // The connection broke: the gateway is gone.
  }
}

async function post(gateway: GatewayProcess, id: string): Promise<{ status: number; body: JsonObject }> {
  const response = await fetch(`${gateway.url}/hooks/mark`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': id },
    body: JSON.stringify({ id }),
  });
  return { status: response.status, body: (await response.json()) as JsonObject };
}
