import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { LEASE_MS } from '../../src/executor/session.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/**
 * SQLite's lock is the kernel's: a process that stands still in the middle of a commit keeps it, whatever lease is
 * over. Nobody else can write until it goes on or is ended, and nothing may be lost or done twice by that.
 */
const HINT = 'perhaps a second gateway, that hangs or was stopped (SIGSTOP), and end it.';
const TEST_MS = 90_000;

const config = (results: string): JsonObject => ({
  server: { allowedBinds: [results] },
  jobs: {
    mark: {
      image: TEST_IMAGE,
      command: ['/bin/sh', '-c', 'echo ran >> "/results/$ID"'],
      memory: '16Mi',
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

describe('a gateway that stands still in the middle of a commit', () => {
  const base = mkdtempSync(join(tmpdir(), 'tappet-commit-'));
  let host = '';
  beforeAll(async () => void (host = await engineHost()));
  afterAll(() => rmSync(base, { recursive: true, force: true }));

  it.concurrent.each(['SIGCONT', 'SIGKILL'] as const)(
    'holds the database of all, who say so, until %s; then all goes on',
    async (signal) => {
      const dir = join(base, signal);
      const results = join(base, `${signal}.results`);
      mkdirSync(results);
      const same = { dir, config: config(results), env: { DOCKER_HOST: host } };
      const program = join(import.meta.dirname, '../support/frozen-commit-gateway.mjs');
      const frozen = new GatewayProcess({ ...same, program });
      const other = new GatewayProcess(same);
      const late = new GatewayProcess(same);
      try {
        await frozen.start();
        await other.start();
        const answer = post(frozen, 'held').catch(() => ({ status: 0, body: {} }));
        await vi.waitUntil(() => stateOf(frozen.pid) === 'T', { timeout: 10_000 });
        const leaseOver = setTimeout(LEASE_MS + 3_000);

        const starts = late.start().then(
          () => 'it started',
          (error: unknown) => String(error),
        );
        expect(await post(other, 'refused')).toMatchObject({
          status: 503,
          body: { code: 'STORE_UNAVAILABLE' },
        });
        expect(await starts).toMatch(/has kept it locked for 10 s/);
        expect(await starts).toContain(HINT);
        await leaseOver;
        const status = (await other.api('GET', '/api/v1/status')).json();
        expect(status['health']).toMatchObject({ state: 'degraded', problems: [{ part: 'database' }] });
        expect(JSON.stringify(status['health'])).toContain(HINT);
        expect(status['engine']).toMatchObject({ state: 'waiting' });
        expect((await fetch(`${other.url}/readyz`)).status).toBe(503);

        frozen.signal(signal);
        expect((await answer).status).toBe(signal === 'SIGCONT' ? 202 : 0);
        await vi.waitUntil(async () => (await fetch(`${other.url}/readyz`)).ok, { timeout: 10_000 });
        const held = await post(other, 'held');
        expect(held).toMatchObject({ status: 202, body: { duplicate: signal === 'SIGCONT' } });
        expect(await post(other, 'refused')).toMatchObject({ status: 202, body: { duplicate: false } });
        const ends = await other.until('/api/v1/executions', allEnded(2));
        expect(ends).toEqual(['SUCCEEDED', 'SUCCEEDED']);
        for (const id of ['held', 'refused']) expect(readFileSync(join(results, id), 'utf8')).toBe('ran\n');
      } finally {
        await Promise.all([frozen, other, late].map((gateway) => gateway.kill()));
      }
    },
    TEST_MS,
  );
});

/** As the kernel has it: `T` is stopped. */
function stateOf(pid: number): string | undefined {
  return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
}

async function post(gateway: GatewayProcess, id: string): Promise<{ status: number; body: JsonObject }> {
  const response = await fetch(`${gateway.url}/hooks/mark`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': id },
    body: JSON.stringify({ id }),
  });
  return { status: response.status, body: (await response.json()) as JsonObject };
}

const allEnded = (count: number) => (answer: JsonObject) => {
  const executions = answer['executions'] as JsonObject[];
  const ended = executions.filter(({ completionTime }) => typeof completionTime === 'string');
  return ended.length === count && executions.length === count ? ended.map(({ state }) => state) : undefined;
};
