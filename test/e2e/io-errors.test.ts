import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { eventually } from '../support/chaos-rounds.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { countingEngine } from '../support/counting-engine.ts';
import type { CountingEngine } from '../support/counting-engine.ts';
import { CutDisk } from '../support/cut-disk.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { IoErrorSender } from '../support/io-error-sender.ts';
import { DISK_CALLS, IoFaults, PLAIN_WRITE } from '../support/io-faults.ts';
import { SeededRandom } from '../sim/seeded-random.ts';

/**
 * A disk that fails now and then: of the real process's calls to it 5 % are not made and give an error instead. A round
 * is a call with an id. Its sender comes again after a 503 or a broken connection, and when the disk is well again all
 * that was acknowledged is there, each once. The data folder is on a file system in an image file, so that the copy of a
 * moment tells what a power cut would have left.
 */
const PROBABILITY = 0.05;
/** Calls of one time of failures. */
const BATCH = 10;
const USUAL = 30;
const SENDERS = 4;
/** Of a call while the disk fails; then it waits until the disk is well. */
const TRIES = 100;
const STOP_MS = 5_000;
const WITHIN_MS = 120_000;

/** What happens while the disk fails, in turn. */
const KINDS = ['goes on', 'SIGTERM', 'dies'] as const;

/** Of each event: its id, how many executions it has, their state and how many attempts. */
const FOUND = `SELECT k.id || ' ' || count(DISTINCT x.seq) || ' ' || min(x.state) || ' ' || count(a.attempt)
  FROM event_keys k JOIN events e ON e.uid = k.event_uid LEFT JOIN executions x ON x.event_uid = e.uid
  LEFT JOIN attempts a ON a.execution = x.seq GROUP BY k.id`;
/** What an acknowledgement promises: the identity, its event, and the execution it caused. */
const PROMISED = `SELECT k.id FROM event_keys k JOIN events e ON e.uid = k.event_uid
  JOIN executions x ON x.event_uid = e.uid`;

const WHOLE = { integrity: 'ok', lost: [] };

const CONFIG: JsonObject = {
  jobs: { print: { image: 'none:1' } },
  triggers: { in: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'print' } } },
};

const base = mkdtempSync(join(tmpdir(), 'tappet-io-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** A gateway on a disk of its own that can be made to fail. */
class Rig {
  readonly disk: CutDisk;
  readonly faults: IoFaults;
  readonly gateway: GatewayProcess;
  readonly sender: IoErrorSender;

  constructor(name: string, program: string, { host }: CountingEngine) {
    this.disk = new CutDisk(base, name);
    this.disk.make();
    this.faults = new IoFaults(join(base, `${name}.pipe`));
    this.gateway = new GatewayProcess({
      dir: this.disk.path,
      config: CONFIG,
      env: { DOCKER_HOST: host },
      program: join(import.meta.dirname, '../support', program),
      under: this.faults.under,
    });
    this.sender = new IoErrorSender(this.gateway);
  }

  async end(): Promise<void> {
    await this.gateway.kill();
    this.disk.end();
  }

  /** All of these at once, by a few senders. */
  async send(ids: readonly string[], tries = TRIES): Promise<void> {
    const shares = Array.from({ length: SENDERS }, (_, n) => ids.filter((__, i) => i % SENDERS === n));
    await Promise.all(shares.map((share) => this.sender.send(share, tries)));
  }

  /** What SQLite says of the copy of this moment, and the acknowledged ids that are not in it. */
  cut(): { integrity: string; lost: string[] } {
    // Stopped, so that the copy is one moment and not a smear of several.
    this.gateway.signal('SIGSTOP');
    const promised = [...this.sender.acked];
    this.disk.cut();
    this.gateway.signal('SIGCONT');
    const { integrity, ids } = this.disk.read('data/tappet.db', PROMISED);
    return { integrity, lost: promised.filter((id) => !ids.has(id)) };
  }
}

describe('libfiu', () => {
  /** By call, what of a gateway's work it makes fail. */
  const CAUGHT = {
    'posix/io/rw/pwrite': ['file: write at', 'SQLite: insert'],
    'posix/io/rw/pwritev': ['file: writev at'],
    'posix/io/rw/ftruncate': ['file: truncate', 'SQLite: checkpoint'],
    // The first commit after a checkpoint syncs the head of the log, also with `synchronous=NORMAL`.
    'posix/io/sync/fsync': ['file: fsync', 'SQLite: insert'],
    'posix/io/sync/fdatasync': ['file: fdatasync'],
    'posix/io/oc/open': ['file: open', 'SQLite: open'],
  };

  it('catches what SQLite and libuv ask the disk for, and lets it work again', async () => {
    const dir = mkdtempSync(join(base, 'probe-'));
    const faults = new IoFaults(join(dir, 'pipe'));
    const program = join(import.meta.dirname, '../support/io-probe.mjs');
    const [command, ...words] = [...faults.under, process.execPath, program, dir];
    const probe = spawn(command, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    const answers = createInterface({ input: probe.stdout })[Symbol.asyncIterator]();
    const ask = async (): Promise<unknown> => {
      probe.stdin.write('ask\n');
      return JSON.parse((await answers.next()).value ?? 'null') as unknown;
    };
    expect(await ask()).toEqual([]);
    for (const [call, failed] of Object.entries(CAUGHT)) {
      await faults.on(probe.pid ?? 0, [call], 1);
      expect(await ask(), call).toEqual(failed);
      await faults.off(probe.pid ?? 0, [call]);
      expect(await ask(), `after ${call}`).toEqual([]);
    }
    probe.stdin.end();
    await once(probe, 'exit');
  });
});

describe('a disk that fails', () => {
  const row = chaosRow('io-errors', USUAL);
  const batches = Array.from({ length: Math.ceil(row.rounds / BATCH) }, (_, n) => n);
  const random = new SeededRandom(row.seed + row.first);
  let engine: CountingEngine;
  let rig: Rig;
  const read = new Set<string>();

  beforeAll(async () => {
    engine = await countingEngine();
    rig = new Rig('gateway', 'printing-gateway.mjs', engine);
    await rig.gateway.start();
  });
  afterAll(async () => {
    await rig.end();
    await engine.close();
    const { acked, refusals, breaks } = rig.sender;
    console.log(
      `${acked.size} calls acknowledged after ${refusals} refusals and ${breaks} broken connections`,
    );
  });

  it.each(batches)(
    'loses nothing and does nothing twice, batch %i',
    async (batch) => {
      const ids = Array.from(
        { length: Math.min(BATCH, row.rounds - batch * BATCH) },
        (_, n) => `${batch}-${n}`,
      );
      row.begin(ids.length);
      const kind = KINDS[(Math.floor(row.first / BATCH) + batch) % KINDS.length] ?? 'goes on';
      const { gateway, faults, sender } = rig;
      gateway.output = '';
      await faults.on(gateway.pid, DISK_CALLS, PROBABILITY);
      const sending = rig.send(ids);
      await pause(random.between(100, 500));
      expect(rig.cut(), 'what a power cut would have left').toEqual(WHOLE);
      await pause(random.between(0, 400));
      if (kind === 'goes on') await sending;
      const isNew = await endOf(kind, rig);
      await sending;
      if (!isNew) await faults.off(gateway.pid, DISK_CALLS);
      await rig.send([...sender.unacked]);
      expect([...sender.unacked]).toEqual([]);
      expect(sender.wrong).toEqual([]);
      await allEnded(rig);
      await checkRows(rig);
      checkStarts(engine);
      await checkOutput(rig, engine, read);
      expect(openFiles(rig.gateway)).toBeLessThan(10);
      expect(gateway.output).not.toMatch(/a request failed|unexpected error|^\s+at /m);
    },
    WITHIN_MS,
  );
});

/** Whatever ended the process, the next one starts on a disk that works: true where there is a next one. */
async function endOf(kind: (typeof KINDS)[number], { gateway, faults }: Rig): Promise<boolean> {
  if (kind === 'goes on') return false;
  if (kind === 'SIGTERM') {
    const asked = Date.now();
    await gateway.end();
    expect(Date.now() - asked).toBeLessThan(STOP_MS);
  } else {
    await faults.on(gateway.pid, [PLAIN_WRITE], PROBABILITY);
    const dead = gateway.ended();
    // Each answer makes some of those calls.
    let alive = true;
    void dead.then(() => (alive = false));
    while (alive) await fetch(`${gateway.url}/livez`).catch(() => undefined);
    expect(await dead).toEqual({ code: null, signal: 'SIGABRT' });
  }
  await gateway.start();
  return true;
}

/** Every event has come to its end. */
async function allEnded({ gateway, sender }: Rig): Promise<void> {
  await eventually(
    'every execution has succeeded',
    async () => {
      const all = await gateway.list('/api/v1/executions', 'executions');
      const done = all.filter(({ state }) => state === 'SUCCEEDED').length;
      return done === all.length && done >= sender.acked.size ? true : undefined;
    },
    30_000,
  );
}

/** Asked of the file itself, by another SQLite. */
async function checkRows({ gateway, disk, sender }: Rig): Promise<void> {
  gateway.signal('SIGSTOP');
  disk.cut();
  gateway.signal('SIGCONT');
  const { integrity, ids } = disk.read('data/tappet.db', FOUND);
  expect(integrity).toBe('ok');
  expect([...ids].toSorted()).toEqual([...sender.acked].map((id) => `${id} 1 SUCCEEDED 1`).toSorted());
}

function checkStarts({ started }: CountingEngine): void {
  expect([...started].filter(([, times]) => times !== 1)).toEqual([]);
}

/** Of what has been started since the last look. */
async function checkOutput({ gateway }: Rig, { started }: CountingEngine, read: Set<string>): Promise<void> {
  for (const name of started.keys()) {
    if (read.has(name)) continue;
    read.add(name);
    const execution = /^tappet-[^-]+-(.+)-t0-a0$/.exec(name)?.[1];
    const { text } = await gateway.api('GET', `/api/v1/executions/${execution}/tasks/0/logs`);
    const lines = Array.from({ length: 20 }, (_, n) => `line ${n} of ${name}\n`);
    expect(text, name).toBe(lines.join(''));
  }
}

/** Descriptors in the data folder: what a failed open or a closed connection leaves behind would add up. */
function openFiles({ pid, dataDir }: GatewayProcess): number {
  const dir = `/proc/${pid}/fd`;
  return readdirSync(dir).filter((fd) => target(join(dir, fd)).startsWith(dataDir)).length;
}

function target(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    // It was closed since the folder was read.
    return '';
  }
}

describe('a disk that never syncs', () => {
  const unsynced = ['posix/io/sync/fdatasync'];

  /** What is acknowledged while nothing is synced, and what of it a power cut takes. */
  async function tried(program: string): Promise<{ acked: string[]; lost: string[] }> {
    const engine = await countingEngine();
    const rig = new Rig(program.replace('.mjs', ''), program, engine);
    try {
      await rig.gateway.start();
      await rig.send(['before']);
      expect([...rig.sender.acked]).toEqual(['before']);
      await rig.faults.on(rig.gateway.pid, unsynced, 1);
      await rig.send(
        Array.from({ length: BATCH }, (_, n) => `unsynced-${n}`),
        3,
      );
      const { lost } = rig.cut();
      return { acked: [...rig.sender.acked].slice(1), lost };
    } finally {
      await rig.end();
      await engine.close();
    }
  }

  it('has nothing that was acknowledged to lose', async () => {
    expect(await tried('printing-gateway.mjs')).toEqual({ acked: [], lost: [] });
  });

  it('is seen to lose it where the failure is kept from the gateway', async () => {
    const { acked, lost } = await tried('careless-gateway.mjs');
    expect(acked.length).toBeGreaterThan(0);
    expect(lost.length).toBeGreaterThan(0);
  });
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
