import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { collect, textOf } from '../contract/log-sink.contract.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { countingEngine } from '../support/counting-engine.ts';
import { CutDisk } from '../support/cut-disk.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { ManualClock } from '../support/manual-clock.ts';

/**
 * A power cut: the data folder is a file system in an image file, and a copy of that file is what a disk would
 * hold if the current ended now. Whatever was acknowledged before the copy began must be in it.
 */
const USUAL = 100;
const SENDERS = 8;
/** Copies, mounts and integrity checks are minutes of disk work, not a wait. */
const EACH_MS = 3_000;
const WITHIN_MS = 60_000;

/** Of a gateway whose tasks end meanwhile. */
const LOG_CUTS = 10;
const FEW_CUTS = 3;
/** The lines of each, as test/support/printing-gateway.mjs prints them. */
const PRINTED = Array.from({ length: 20 }, (_, line) => line);

/** What an acknowledgement promises: the identity, its event, and the execution it caused. */
const PROMISED = `SELECT k.id FROM event_keys k JOIN events e ON e.uid = k.event_uid
  JOIN executions x ON x.event_uid = e.uid`;

/** Whose output is promised to be there: its execution, and the container that printed. */
const ENDED = `SELECT x.name || ' ' || a.container_name FROM attempts a JOIN executions x ON x.seq = a.execution
  WHERE a.state = 'SUCCEEDED'`;

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

describe('a power cut while tasks print and end', () => {
  it(
    'loses no line of an attempt that has succeeded',
    async () => {
      const { lost, checked } = await cutLogs('logs', 'printing-gateway.mjs', LOG_CUTS);
      expect(lost).toEqual([]);
      const grew = checked.filter((count, n) => count > (checked[n - 1] ?? 0)).length;
      expect(grew).toBeGreaterThanOrEqual(LOG_CUTS - 1);
      console.log(`${LOG_CUTS} cuts, the logs of ${checked.at(-1)} attempts, 0 lines lost`);
    },
    WITHIN_MS,
  );

  it(
    'is seen to lose lines where the files of logs are not synced',
    async () => {
      const { lost, checked } = await cutLogs('unsynced', 'unsynced-gateway.mjs', FEW_CUTS);
      expect(checked.at(-1)).toBeGreaterThan(0);
      expect(lost.length).toBeGreaterThan(0);
    },
    WITHIN_MS,
  );
});

/** `checked`: how many attempts had succeeded at each cut; `lost`: those of them whose log was not what they printed. */
async function cutLogs(
  name: string,
  program: string,
  cuts: number,
): Promise<{ lost: string[]; checked: number[] }> {
  const disk = new CutDisk(base, name);
  disk.make();
  const engine = await countingEngine();
  const gateway = new GatewayProcess({
    dir: disk.path,
    config: CONFIG,
    env: { DOCKER_HOST: engine.host },
    program: join(import.meta.dirname, '../support', program),
  });
  const lost: string[] = [];
  const checked: number[] = [];
  let sending = true;
  let senders: Promise<void>[] = [];
  try {
    await gateway.start();
    senders = ['a', 'b'].map((id) => sender(gateway, id, new Set(), () => sending));
    for (let n = 0; n < cuts; n++) {
      await pause(150 + ((n * 37) % 90));
      gateway.signal('SIGSTOP');
      disk.cut();
      gateway.signal('SIGCONT');
      const { integrity, ids } = disk.read('data/tappet.db', ENDED);
      expect(integrity).toBe('ok');
      const logs = new FileLogSink({ dir: disk.folder('data/logs'), clock: new ManualClock() });
      for (const [execution = '', container] of [...ids].map((id) => id.split(' '))) {
        const log = textOf(await collect(logs, { execution, index: 0, attempt: 0 }));
        if (log !== PRINTED.map((line) => `line ${line} of ${container}\n`).join(''))
          lost.push(`cut ${n}: ${container}`);
      }
      checked.push(ids.size);
    }
  } finally {
    sending = false;
    await Promise.all(senders);
    await gateway.kill();
    await engine.close();
    disk.end();
  }
  return { lost, checked };
}

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
