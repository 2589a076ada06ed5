import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/**
 * A power cut: the data folder is a file system in an image file, and a copy of that file is what a disk would
 * hold if the current ended now. Whatever was acknowledged before the copy began must be in it.
 */
const SNAPSHOTS = 100;
const SENDERS = 8;

/** Python's own SQLite reads the copy: the reader must not be the writer's library. */
const READ = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("pragma integrity_check").fetchone()[0])
for (i,) in db.execute("select k.id from event_keys k join executions x on x.event_uid = k.event_uid"): print(i)
`;

describe('power cut', () => {
  const base = mkdtempSync(join(tmpdir(), 'tappet-power-'));
  const disk = join(base, 'disk');
  const acked = new Set<string>();
  let gateway: GatewayProcess;
  let sending = true;
  let senders: Promise<void>[] = [];

  beforeAll(async () => {
    makeDisk(`${disk}.img`, disk);
    gateway = new GatewayProcess({
      dir: disk,
      config: CONFIG,
      env: { DOCKER_HOST: 'unix:///nowhere/docker.sock' },
    });
    await gateway.start();
    senders = Array.from({ length: SENDERS }, (_, i) => sender(gateway, `s${i}`, acked, () => sending));
  });
  afterAll(async () => {
    sending = false;
    await Promise.all(senders);
    await gateway.kill();
    execFileSync('umount', [disk]);
    rmSync(base, { recursive: true, force: true });
  });

  it(`keeps every acknowledged event in ${SNAPSHOTS} cuts`, async () => {
    const seen: number[] = [];
    for (let n = 0; n < SNAPSHOTS; n++) {
      await new Promise((resolve) => setTimeout(resolve, 20 + ((n * 37) % 90)));
      // Stopped, so that the copy is one moment and not a smear of several.
      gateway.signal('SIGSTOP');
      const promised = [...acked];
      execFileSync('cp', ['--sparse=always', `${disk}.img`, `${disk}.cut`]);
      gateway.signal('SIGCONT');
      const { integrity, ids } = readDisk(`${disk}.cut`, join(base, 'cut'));
      expect(integrity).toBe('ok');
      const lost = promised.filter((id) => !ids.has(id));
      expect(lost, `cut ${n}: ${lost.length} of ${promised.length} acknowledged events are gone`).toEqual([]);
      seen.push(promised.length);
    }
    // The test means something only if events were being acknowledged between the cuts.
    const grew = seen.filter((size, n) => n > 0 && size > (seen[n - 1] ?? 0)).length;
    expect(grew).toBeGreaterThan(SNAPSHOTS * 0.9);
    console.log(`${SNAPSHOTS} cuts, ${acked.size} events acknowledged, 0 lost`);
  });
});

const CONFIG: JsonObject = {
  jobs: { none: { image: 'none:1' } },
  triggers: { in: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'none' } } },
};

function makeDisk(image: string, mountPoint: string): void {
  mkdirSync(mountPoint);
  execFileSync('truncate', ['-s', '192M', image]);
  execFileSync('mkfs.ext4', ['-q', '-F', image]);
  execFileSync('mount', ['-o', 'loop', image, mountPoint]);
}

function readDisk(image: string, mountPoint: string): { integrity: string; ids: Set<string> } {
  mkdirSync(mountPoint, { recursive: true });
  execFileSync('mount', ['-o', 'loop', image, mountPoint]);
  try {
    const path = join(mountPoint, 'data/tappet.db');
    const [integrity = '', ...ids] = execFileSync('python3', ['-c', READ, path], { maxBuffer: 1 << 28 })
      .toString()
      .trim()
      .split('\n');
    return { integrity, ids: new Set(ids) };
  } finally {
    execFileSync('umount', [mountPoint]);
  }
}

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
