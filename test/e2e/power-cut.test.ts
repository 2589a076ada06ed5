import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { CutDisk } from '../support/cut-disk.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/**
 * A power cut: the data folder is a file system in an image file, and a copy of that file is what a disk would
 * hold if the current ended now. Whatever was acknowledged before the copy began must be in it.
 */
const USUAL = 100;
const SENDERS = 8;
/** Copies, mounts and integrity checks are minutes of disk work, not a wait. */
const EACH_MS = 3_000;
const WITHIN_MS = 60_000;

/** What an acknowledgement promises: the identity, its event, and the execution it caused. */
const PROMISED = `SELECT k.id FROM event_keys k JOIN events e ON e.uid = k.event_uid
  JOIN executions x ON x.event_uid = e.uid`;

const base = mkdtempSync(join(tmpdir(), 'tappet-power-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));

describe('power cut', () => {
  const row = chaosRow('power-cut', USUAL);
  const SNAPSHOTS = row.rounds;
  const disk = new CutDisk(base, 'gateway');
  const acked = new Set<string>();
  let gateway: GatewayProcess;
  let sending = true;
  let senders: Promise<void>[] = [];

  beforeAll(async () => {
    disk.make();
    const env = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };
    gateway = new GatewayProcess({ dir: disk.path, config: CONFIG, env });
    await gateway.start();
    senders = Array.from({ length: SENDERS }, (_, i) => sender(gateway, `s${i}`, acked, () => sending));
  });
  afterAll(async () => {
    sending = false;
    await Promise.all(senders);
    await gateway.kill();
    disk.end();
  });

  it(
    `keeps every acknowledged event in ${SNAPSHOTS} cuts`,
    async () => {
      const seen: number[] = [];
      for (let n = 0; n < SNAPSHOTS; n++) {
        row.begin();
        await pause(20 + (((row.first + n) * 37) % 90));
        // Stopped, so that the copy is one moment and not a smear of several.
        gateway.signal('SIGSTOP');
        const promised = [...acked];
        disk.cut();
        gateway.signal('SIGCONT');
        const { integrity, ids } = disk.read('data/tappet.db', PROMISED);
        expect(integrity).toBe('ok');
        const lost = promised.filter((id) => !ids.has(id));
        expect(lost, `cut ${n}: ${lost.length} of ${promised.length} acknowledged events are gone`).toEqual(
          [],
        );
        seen.push(promised.length);
      }
      // The test means something only if events were being acknowledged between the cuts.
      const grew = seen.filter((size, n) => n > 0 && size > (seen[n - 1] ?? 0)).length;
      expect(grew).toBeGreaterThanOrEqual(Math.floor((SNAPSHOTS - 1) * 0.9));
      console.log(`${SNAPSHOTS} cuts, ${acked.size} events acknowledged, 0 lost`);
    },
    WITHIN_MS + SNAPSHOTS * EACH_MS,
  );
});

describe('a power cut of a writer that acknowledges too early', () => {
  const disk = new CutDisk(base, 'careless');
  afterEach(() => disk.end());

  it(
    'is seen to lose rows',
    async () => {
      disk.make();
      const program = join(import.meta.dirname, '../support/careless-writer.mjs');
      const writer = spawn(process.execPath, [program, join(disk.path, 'rows.db')], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const acked: string[] = [];
      createInterface({ input: writer.stdout }).on('line', (id) => acked.push(id));
      let lost = 0;
      for (let n = 0; n < 20 && lost === 0; n++) {
        await pause(150);
        writer.kill('SIGSTOP');
        const promised = [...acked];
        disk.cut();
        writer.kill('SIGCONT');
        lost = promised.length - kept(disk);
      }
      writer.kill('SIGKILL');
      await once(writer, 'exit');
      expect(lost).toBeGreaterThan(0);
    },
    WITHIN_MS,
  );
});

/** Rows in the copy; none where not even the table arrived. */
function kept(disk: CutDisk): number {
  try {
    return disk.read('rows.db', 'SELECT id FROM rows').ids.size;
  } catch (error) {
    if (/no such table|unable to open|malformed/.test(String(error))) return 0;
    throw error;
  }
}

const CONFIG: JsonObject = {
  jobs: { none: { image: 'none:1' } },
  triggers: { in: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'none' } } },
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function sender(
  gateway: GatewayProcess,
  name: string,
  acked: Set<string>,
  going: () => boolean,
): Promise<void> {
  for (let n = 0; going(); n++) {
    const id = `${name}-${n}`;
    const response = await fetch(`${gateway.url}/hooks/in`, {
      method: 'POST',
      headers: { 'idempotency-key': id },
    });
    await response.text();
    if (response.status === 202) acked.add(id);
  }
}
