import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { LEASE_MS } from '../../src/executor/session.ts';
import { attemptRows, engineRow, noteWrites, notedWrites } from '../support/attempt-rows.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { TEST_IMAGE, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { engineOracle } from '../support/engine-oracle.ts';
import type { EngineOracle } from '../support/engine-oracle.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/**
 * A gateway that stands still in the middle of an attempt (SIGSTOP), before or after a call of a port, until another
 * one has taken its engine and two leases are over, and then goes on (SIGCONT) with the very call: what it had begun
 * is nobody's any more. It writes nothing about attempts, orders nothing from the engine, says so, and is a gateway
 * beside the other one from then on, which takes the engine when that one ends.
 */
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
];
const BOTH = METHODS.flatMap((method) => [`${method}:before:1`, `${method}:after:1`]);
/** In `npm test`: where most is at stake. They wait rather than work, five at the same time. */
const USUAL = [
  'store.acquireEngine:after:1',
  'store.renewEngine:before:1',
  'store.claimAttempts:after:1',
  'store.attemptStarted:before:1',
  'store.finishAttempt:before:1',
  'store.attemptRendered:before:1',
  'runner.ensure:before:1',
  'runner.inspect:after:1',
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
];
const EVERY = [...USUAL, ...BOTH.filter((place) => !USUAL.includes(place)), ...LATER];

const FROZEN_MS = 2 * LEASE_MS + 1_000;
const ROUND_MS = 120_000;

/** What becomes of each hook's call: the states of its attempts. */
const ENDS: Readonly<Record<string, readonly string[]>> = {
  quick: ['SUCCEEDED'],
  again: ['FAILED', 'SUCCEEDED'],
  overdue: ['FAILED'],
  long: ['SUCCEEDED'],
};
const HOOKS = Object.keys(ENDS);
/** They have ended when the frozen one goes on; the long one runs, led by the other. */
const SHORT = HOOKS.filter((hook) => hook !== 'long');

const MARK = 'echo "$CLOUD_RUN_TASK_ATTEMPT" >> "/results/$ID"';
const SCRIPTS: Readonly<Record<string, string>> = {
  quick: MARK,
  again: `${MARK}; [ "$CLOUD_RUN_TASK_ATTEMPT" = 1 ]`,
  overdue: `${MARK}; exec sleep 1000`,
  long: `${MARK}; while [ ! -e /results/end ]; do sleep 0.2; done`,
};

function config(results: string): JsonObject {
  const job = (hook: string): JsonObject => ({
    image: TEST_IMAGE,
    command: ['/bin/sh', '-c'],
    args: [SCRIPTS[hook] ?? ''],
    memory: '16Mi',
    cpu: 0.1,
    timeout: hook === 'overdue' ? '2s' : '5m',
    maxRetries: hook === 'again' ? 1 : 0,
    volumes: [{ bind: results, to: '/results', readOnly: false }],
  });
  const trigger = (hook: string): JsonObject => ({
    source: { kind: 'webhook', auth: 'none' },
    // What names `task` is rendered by the attempt, and stored.
    run: { job: hook, env: { ID: '${{ event.data.id }}', PART: '${{ task.index }}' } },
  });
  return {
    server: { allowedBinds: [results] },
    jobs: Object.fromEntries(HOOKS.map((hook) => [hook, job(hook)])),
    triggers: Object.fromEntries(HOOKS.map((hook) => [hook, trigger(hook)])),
  };
}

describe('a gateway that was frozen while another one took its engine', () => {
  const row = chaosRow('frozen-owner', USUAL.length);
  const rounds = row.pick(EVERY);
  const base = mkdtempSync(join(tmpdir(), 'tappet-frozen-'));
  const hit = new Set<string>();
  let host = '';
  let oracle: EngineOracle;
  beforeAll(async () => {
    host = await engineHost();
    const endpoint = await testEngine();
    if (endpoint.kind !== 'unix') throw new TypeError('the events of the engine are read from its socket');
    oracle = await engineOracle(endpoint.path);
  });
  afterAll(() => {
    oracle.close();
    rmSync(base, { recursive: true, force: true });
  });

  it('stands still in 10 places, or in all 40', () => {
    expect([USUAL.length, EVERY.length, new Set(EVERY).size]).toEqual([10, 40, 40]);
    expect(rounds).toHaveLength(row.rounds);
  });

  it.concurrent.each(rounds)(
    '%s',
    async (place) => {
      row.begin();
      const round = new Round(base, place, host);
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
  readonly #frozen: GatewayProcess;
  readonly #next: GatewayProcess;
  /** Where it stands still on its way up, this is only over when it has gone on. */
  #started: Promise<void> = Promise.resolve();

  constructor(base: string, place: string, host: string) {
    const dir = join(base, place.replaceAll(':', '-'));
    this.#record = `${dir}.place`;
    this.#results = `${dir}.results`;
    mkdirSync(this.#results);
    const same = { dir, config: config(this.#results) };
    this.#frozen = new GatewayProcess({
      ...same,
      env: {
        DOCKER_HOST: host,
        CRASH: place,
        CRASH_RECORD: this.#record,
        CRASH_SIGNAL: 'SIGSTOP',
        // Nobody has asked for a stop when it goes on.
        ...(place.startsWith('store.stopRequests:') ? { CRASH_EMPTY: '1' } : {}),
      },
      program: join(import.meta.dirname, '../support/crash-gateway.mjs'),
    });
    this.#next = new GatewayProcess({ ...same, env: { DOCKER_HOST: host } });
  }

  get database(): string {
    return join(this.#frozen.dataDir, 'tappet.db');
  }

  /** By the first one, so far. */
  get said(): string {
    return this.#frozen.output;
  }

  /** Starts the first one and calls it; gives the place at which it then stands still. */
  async freeze(): Promise<string> {
    this.#started = this.#frozen.start();
    // Where it never goes on its end is no failure of its own.
    this.#started.catch(() => undefined);
    const still = vi.waitUntil(() => existsSync(this.#record), { timeout: 30_000 });
    await Promise.race([this.#started, still]);
    // By one that stands still they are not answered: their sender sends them again.
    if (this.#frozen.url !== '') for (const hook of HOOKS) call(this.#frozen, hook).catch(() => undefined);
    await still;
    this.frozenAt = Date.now();
    return readFileSync(this.#record, 'utf8');
  }

  /** The second one takes the engine and brings all but the long one to their ends; gives the executions, by hook. */
  async takeOver(): Promise<Record<string, string>> {
    await this.#next.start();
    const names: Record<string, string> = {};
    for (const hook of HOOKS) names[hook] = await called(this.#next, hook);
    // All may have ended before the first one stood still.
    await engineIs(this.#next, 'ready');
    for (const hook of SHORT) await ended(this.#next, names[hook] ?? '', 20_000);
    await this.#next.until(`/api/v1/executions/${names['long']}/tasks/0/attempts`, ({ attempts }) =>
      (attempts as JsonObject[])[0]?.['state'] === 'RUNNING' ? true : undefined,
    );
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
