import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { LEASE_MS } from '../../src/executor/session.ts';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { collect, textOf } from '../contract/log-sink.contract.ts';
import { attemptRows, engineRow, noteWrites, notedWrites } from '../support/attempt-rows.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { engineOracle } from '../support/engine-oracle.ts';
import type { EngineOracle } from '../support/engine-oracle.ts';
import { config, ENDS, HOOKS, LINE_END, prefixOf, SHORT } from '../support/frozen-jobs.ts';
import type { Place } from '../support/frozen-jobs.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { objectsBelow, testMinio } from '../support/minio.ts';
import type { TestStore } from '../support/minio.ts';

/**
 * A gateway that stands still in the middle of an attempt (SIGSTOP), before or after a call of a port, until another
 * one has taken its engine and two leases are over, and then goes on (SIGCONT) with the very call: what it had begun
 * is nobody's any more. It writes nothing about attempts, orders nothing from the engine, adds nothing to a log, says
 * so, and is a gateway beside the other one from then on, which takes the engine when that one ends.
 */
/** In no call, but when the file of a log has room for a line or two, and more lines come while it stands still. */
const FULL = 'log:full';
/** It has just taken over a task that runs. */
const LED_ON = 'runner.logs:before:1';
const METHODS = [
  'store.acquireEngine',
  'store.renewEngine',
  'store.claimAttempts',
  'store.attemptRendered',
  'store.attemptStarted',
  'store.stopRequests',
  'store.requestStop',
  'store.finishAttempt',
  'runner.capabilities',
  'runner.list',
  'runner.prepare',
  'runner.ensure',
  'runner.inspect',
  'runner.stop',
  'runner.remove',
  'writer.write',
  'objectStore.put',
];
const BOTH = METHODS.flatMap((method) => [`${method}:before:1`, `${method}:after:1`]);
/** In `npm test`: where most is at stake. They wait rather than work, five at the same time. */
const USUAL = [
  'store.acquireEngine:after:1',
  'store.renewEngine:before:1',
  'store.claimAttempts:after:1',
  'store.attemptStarted:before:1',
  'store.finishAttempt:before:1',
  LED_ON,
  'objectStore.put:before:1',
  'runner.ensure:before:1',
  'runner.stop:before:1',
  'runner.remove:before:1',
];
/** The same again when other tasks are in other stages. */
const LATER = [
  'store.renewEngine:after:2',
  'store.attemptStarted:after:3',
  'store.finishAttempt:after:2',
  'store.finishAttempt:before:3',
  'runner.prepare:after:2',
  'runner.ensure:before:3',
  'runner.ensure:after:4',
  'runner.inspect:before:3',
  'runner.remove:before:2',
  'runner.remove:after:3',
  FULL,
];
const EVERY = [...USUAL, ...BOTH.filter((place) => !USUAL.includes(place)), ...LATER];

/** Of the eighth part of 1 MiB that a file of the long one's log holds. */
const NEARLY_FULL = 125_000;
const FROZEN_MS = 2 * LEASE_MS + 1_000;
const ROUND_MS = 120_000;

describe('a gateway that was frozen while another one took its engine', () => {
  const row = chaosRow('frozen-owner', USUAL.length);
  const rounds = row.pick(EVERY);
  const base = mkdtempSync(join(tmpdir(), 'tappet-frozen-'));
  const hit = new Set<string>();
  let host = '';
  let oracle: EngineOracle;
  let minio: TestStore;
  let bucket = '';
  beforeAll(async () => {
    [host, minio] = await Promise.all([engineHost(), testMinio()]);
    bucket = await minio.bucket();
    const endpoint = await testEngine();
    if (endpoint.kind !== 'unix') throw new TypeError('the events of the engine are read from its socket');
    oracle = await engineOracle(endpoint.path);
  });
  afterAll(async () => {
    oracle.close();
    await minio.close();
    rmSync(base, { recursive: true, force: true });
  });

  it('stands still in 10 places, or in all 46', () => {
    expect([USUAL.length, EVERY.length, new Set(EVERY).size]).toEqual([10, 46, 46]);
    expect(rounds).toHaveLength(row.rounds);
  });

  it.concurrent.each(rounds)(
    '%s',
    async (place) => {
      row.begin();
      const at = { place, host, minio, bucket };
      const round = new Round(base, at);
      try {
        hit.add(await round.freeze());
        const names = await round.takeOver();
        const done = SHORT.map((hook) => names[hook] ?? '');
        const long = names['long'] ?? '';
        const before = attemptRows(round.database, done);
        const engine = engineRow(round.database);
        noteWrites(round.database);
        await setTimeout(Math.max(0, round.frozenAt + FROZEN_MS - Date.now()));

        const thawed = BigInt(Date.now()) * 1_000_000n;
        const late = await round.goOn();
        // Before it was told that it had the engine there is nothing that it could lose.
        const never = place === 'store.acquireEngine:before:1';
        expect(round.said).toContain(
          never ? 'Another gateway is in charge' : 'No longer in charge of the container engine',
        );
        expect(attemptRows(round.database, done)).toEqual(before);
        for (const name of [...done, long]) {
          expect(notedWrites(round.database, name), name).toEqual([]);
          expect(actionsSince(oracle, name, thawed), name).toEqual([]);
        }
        expect(engineRow(round.database)).toEqual(engine);
        expect(attemptRows(round.database, [late]).attempts).toMatchObject([{ ...engine }]);
        expect(oracle.actions(late).filter(({ action }) => action === 'create')).toMatchObject([
          { epoch: engine?.epoch },
        ]);

        const last = await round.takeBack(long);
        const all = { ...names, late, last };
        for (const [id, name] of Object.entries(all)) {
          const ends = ENDS[id] ?? ['SUCCEEDED'];
          const { attempts } = attemptRows(round.database, [name]);
          expect(
            attempts.map(({ state }) => state),
            id,
          ).toEqual(ends);
          // Each attempt of a task was one start of one container, and never two at a time.
          expect(round.marks(id), id).toEqual(ends.map((_, attempt) => String(attempt)));
          expect(
            oracle.lives(name).map(({ started }) => started.length),
            id,
          ).toEqual(ends.map(() => 1));
          expect(overlaps(oracle, name), id).toEqual([]);
          const none = async () => expect(await oracle.containers(name), id).toEqual([]);
          await vi.waitFor(none, { timeout: 10_000, interval: 200 });
        }
        const [overdue] = attemptRows(round.database, [names['overdue'] ?? '']).attempts;
        expect(overdue?.reason).toBe('TIMED_OUT');
        await expectLinesAndObjects(round, at, long);
      } finally {
        await round.end();
      }
    },
    ROUND_MS,
  );

  it('stood still at every place', () => expect([...hit].sort()).toEqual([...new Set(rounds)].sort()));
});

function actionsSince(oracle: EngineOracle, execution: string, time: bigint): unknown[] {
  return oracle.actions(execution).filter((action) => action.time >= time);
}

/** Containers that began before the one before them had ended. */
function overlaps(oracle: EngineOracle, execution: string): unknown[] {
  const lives = oracle.lives(execution);
  return lives.filter(({ started }, i) => {
    const died = lives[i - 1]?.died.at(-1);
    return i > 0 && (died === undefined || (started[0] ?? 0n) < died);
  });
}

/** Two gateways on one data folder, one of which stands still at `place`. */
class Round {
  frozenAt = 0;
  readonly #record: string;
  readonly #results: string;
  readonly #place: string;
  readonly #frozen: GatewayProcess;
  readonly #next: GatewayProcess;
  /** Where it stands still on its way up, this is only over when it has gone on. */
  #started: Promise<void> = Promise.resolve();

  constructor(base: string, at: Place) {
    const { place, host, minio } = at;
    const dir = join(base, prefixOf(place));
    this.#place = place;
    this.#record = `${dir}.place`;
    this.#results = `${dir}.results`;
    mkdirSync(this.#results);
    const { accessKey, secretKey } = minio.server;
    const env = { DOCKER_HOST: host, S3_KEY: accessKey, S3_SECRET: secretKey };
    const same = { dir, config: config(this.#results, at) };
    this.#frozen = new GatewayProcess({
      ...same,
      env: {
        ...env,
        CRASH: place,
        CRASH_RECORD: this.#record,
        CRASH_SIGNAL: 'SIGSTOP',
        // Nobody has asked for a stop when it goes on.
        ...(place.startsWith('store.stopRequests:') ? { CRASH_EMPTY: '1' } : {}),
      },
      program: join(import.meta.dirname, '../support/crash-gateway.mjs'),
    });
    this.#next = new GatewayProcess({ ...same, env });
  }

  /** Of both. */
  get dataDir(): string {
    return this.#frozen.dataDir;
  }
  get database(): string {
    return join(this.dataDir, 'tappet.db');
  }

  /** By the first one, so far. */
  get said(): string {
    return this.#frozen.output;
  }

  /** Starts the first one and calls it; gives the place at which it then stands still. */
  async freeze(): Promise<string> {
    if (this.#place === LED_ON) await this.#leaveRunning();
    this.#started = this.#frozen.start();
    // Where it never goes on its end is no failure of its own.
    this.#started.catch(() => undefined);
    const still = vi.waitUntil(() => this.#standsStill(), { timeout: 30_000 });
    await Promise.race([this.#started, still]);
    // By one that stands still they are not answered: their sender sends them again.
    if (this.#frozen.url !== '') for (const hook of HOOKS) call(this.#frozen, hook).catch(() => undefined);
    await still;
    this.frozenAt = Date.now();
    return this.#place === FULL ? FULL : readFileSync(this.#record, 'utf8');
  }

  #standsStill(): boolean {
    // Not when the file is there, but when it says where: it is written just before the process stands still.
    if (this.#place !== FULL) return (statSync(this.#record, { throwIfNoEntry: false })?.size ?? 0) > 0;
    const logs = join(this.dataDir, 'logs');
    const names = existsSync(logs) ? readdirSync(logs, { recursive: true, encoding: 'utf8' }) : [];
    if (!names.some((name) => statSync(join(logs, name)).size > NEARLY_FULL)) return false;
    this.#frozen.signal('SIGSTOP');
    return true;
  }

  /** By one that is killed, so that its log has no end: the next one goes on with both. */
  async #leaveRunning(): Promise<void> {
    await this.#next.start();
    const long = await called(this.#next, 'long');
    await this.#runs(long);
    const path = `/api/v1/executions/${long}/tasks/0/logs`;
    await vi.waitUntil(async () => (await this.#next.api('GET', path)).text !== '', { timeout: 10_000 });
    await this.#next.kill();
  }

  #runs(long: string): Promise<true> {
    return this.#next.until(`/api/v1/executions/${long}/tasks/0/attempts`, ({ attempts }) =>
      (attempts as JsonObject[])[0]?.['state'] === 'RUNNING' ? true : undefined,
    );
  }

  /** The second one takes the engine and brings all but the long one to their ends; gives the executions, by hook. */
  async takeOver(): Promise<Record<string, string>> {
    await this.#next.start();
    const names: Record<string, string> = {};
    for (const hook of HOOKS) names[hook] = await called(this.#next, hook);
    // All may have ended before the first one stood still.
    await engineIs(this.#next, 'ready');
    for (const hook of SHORT) await ended(this.#next, names[hook] ?? '', 20_000);
    await this.#runs(names['long'] ?? '');
    return names;
  }

  /** The first one goes on: it hears that it is in charge no more, and takes a call. Gives that one's execution. */
  async goOn(): Promise<string> {
    this.#frozen.signal('SIGCONT');
    await this.#started;
    const late = await called(this.#frozen, 'quick', 'late');
    await ended(this.#next, late, 20_000);
    // It has left the session by then: nothing of what it had begun is still under way.
    await engineIs(this.#frozen, 'waiting');
    return late;
  }

  /** The second one ends while the long task runs: the first one leads that to its end, and another. */
  async takeBack(long: string): Promise<string> {
    await this.#next.stop();
    await engineIs(this.#frozen, 'ready');
    writeFileSync(join(this.#results, 'end'), '');
    await ended(this.#frozen, long, 20_000);
    const last = await called(this.#frozen, 'quick', 'last');
    await ended(this.#frozen, last, 20_000);
    return last;
  }

  /** The attempts that ran, in the order in which they say so themselves. */
  marks(id: string): string[] {
    return readFileSync(join(this.#results, id), 'utf8').trim().split('\n');
  }

  /** By SIGKILL: one that stands still hears nothing else. */
  async end(): Promise<void> {
    await Promise.all([this.#frozen.kill(), this.#next.kill()]);
  }
}

/** The log of the long one has each of its lines once, in order; each object is what its task left, and there is no other. */
async function expectLinesAndObjects(
  { dataDir, database }: Round,
  { minio, bucket: Bucket, place }: Place,
  long: string,
): Promise<void> {
  const Prefix = `${prefixOf(place)}/`;
  const objects = await objectsBelow(minio.client, Bucket, Prefix);
  const linesLeft = objects[`${Prefix}long`] ?? '';
  const left = { quick: 'quick\n', late: 'late\n', last: 'last\n', long: expect.stringMatching(/^\d+\n$/) };
  expect(objects).toEqual(
    Object.fromEntries(Object.entries(left).map(([id, body]) => [`${Prefix}${id}`, body])),
  );

  const logs = new FileLogSink({ dir: join(dataDir, 'logs'), clock: new ManualClock() });
  const chunks = await collect(logs, { execution: long, index: 0, attempt: 0 });
  expect(chunks.filter(({ missing, stream }) => missing !== undefined || stream !== 'stdout')).toEqual([]);
  const lines = textOf(chunks).replaceAll(LINE_END, '\n').split('\n');
  const count = Number(linesLeft);
  expect(lines).toEqual([...Array.from({ length: count }, (_, n) => String(n)), '']);
  expect(attemptRows(database, [long]).attempts).toMatchObject([
    { log_stdout: Buffer.concat(chunks.map(({ data }) => data)).length },
  ]);
}

function call(gateway: GatewayProcess, hook: string, id = hook): Promise<Response> {
  return fetch(`${gateway.url}/hooks/${hook}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': id },
    body: JSON.stringify({ id }),
  });
}

/** Gives the execution. */
async function called(gateway: GatewayProcess, hook: string, id = hook): Promise<string> {
  const response = await call(gateway, hook, id);
  const body = (await response.json()) as JsonObject;
  if (response.status !== 202) throw new Error(`${hook} ${id}: ${response.status} ${JSON.stringify(body)}`);
  return (body['executions'] as string[])[0] ?? '';
}

const ended = (gateway: GatewayProcess, name: string, withinMs: number) =>
  gateway.until(
    `/api/v1/executions/${name}`,
    (answer) => (typeof answer['completionTime'] === 'string' ? true : undefined),
    withinMs,
  );

const engineIs = (gateway: GatewayProcess, state: string) =>
  gateway.until('/api/v1/status', ({ engine }) =>
    (engine as JsonObject)['state'] === state ? true : undefined,
  );
