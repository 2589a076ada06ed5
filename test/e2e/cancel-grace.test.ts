import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { ChaosRow } from '../support/chaos-row.ts';
import { ChaosRounds, containersOf, eventually, untilNoContainer } from '../support/chaos-rounds.ts';
import { engineRequest, TEST_IMAGE, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { engineOracle } from '../support/engine-oracle.ts';
import type { EngineOracle } from '../support/engine-oracle.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/** Shorter than the 30 s of a job that says nothing, with the same distances around it. */
const GRACE_S = 3;
/** How far from the grace SIGKILL may come, and how long after it is due anything else. */
const EXACT_MS = 1_000;
/** A container is not told to end before it has run for so long. */
const FIRST_MOMENTS_MS = 500;
const SIGTERM = 15;
const SIGKILL = 9;
const TIMEOUT_S = 3;
/** Of 1,000; the machine takes no more than so many at once here. */
const AT_ONCE = 20;

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-cancel-')));
const results = join(dir, 'results');

/** What a container does with SIGTERM. Hundredths of a second since the machine's start go to a file: its own clock. */
const PRELUDE = `r=/results/$CLOUD_RUN_EXECUTION-$CLOUD_RUN_TASK_INDEX
now() { read up rest < /proc/uptime; echo $up; }
beat() { while :; do now > $r.next; mv $r.next $r.last; sleep 0.1; done; }
echo x >> $r.starts`;
const atTerm = (then: string): string =>
  `${PRELUDE}\ntrap '[ -e $r.term ] || now > $r.term; ${then}' TERM\necho up > $r.up\nbeat & while :; do wait; sleep 0.05; done`;
const exitAfter = (seconds: number, code: number): string => atTerm(`sleep ${seconds}; exit ${code}`);

/**
 * As many processes as it may have, and none of them listens. The first one starts none any more: where it could not, a
 * shell ends.
 */
const BOMB = `${PRELUDE}
trap '[ -e $r.term ] || now > $r.term' TERM; mkfifo /tmp/wait
(trap '' TERM; b() { b | b & }; b) 2> $r.forks &
until read x < $r.forks; do :; done 2> /dev/null; echo up > $r.up
while :; do now > $r.last; read -t 1 x <> /tmp/wait; done`;

interface Kind {
  readonly script: string;
  /** null = it has to be killed. */
  readonly exitCode: number | null;
  /** After SIGTERM, in ms. */
  readonly ends: number;
  readonly words: RegExp;
}

const KILLED = (grace: string): RegExp =>
  new RegExp(`SIGTERM did not end it within ${grace}, so it was killed`);
const killed = (script: string): Kind => ({
  script,
  exitCode: 137,
  ends: GRACE_S * 1000,
  words: KILLED(`${GRACE_S}s`),
});
const KINDS: Readonly<Record<string, Kind>> = {
  'ignores SIGTERM': killed(atTerm('')),
  'ends after 1 s': { script: exitAfter(1, 7), exitCode: 7, ends: 1_000, words: /ended with exit code 7/ },
  'ends just before the grace': {
    script: exitAfter(GRACE_S - 1, 0),
    exitCode: 0,
    ends: (GRACE_S - 1) * 1000,
    words: /ended with exit code 0/,
  },
  'would end just after the grace': killed(exitAfter(GRACE_S + 1, 8)),
  'is a fork bomb': killed(BOMB),
  // No trap at all: the shell is what the engine started, and has a child.
  'is a plain shell': {
    script: `${PRELUDE}\necho up > $r.up\nsleep 1000; true`,
    exitCode: 143,
    ends: 0,
    words: /ended by SIGTERM/,
  },
};
const CASES = (['cancel', 'timeout'] as const).flatMap((by) =>
  Object.keys(KINDS).map((kind) => ({ kind, by })),
);
type Case = (typeof CASES)[number];

const job = (script: string, more: JsonObject = {}): JsonObject => ({
  image: TEST_IMAGE,
  command: ['/bin/sh', '-c', script],
  memory: '64Mi',
  maxRetries: 0,
  volumes: [{ bind: results, to: '/results', readOnly: false }],
  ...more,
});
/** Five hundred shells have room in it. */
const LARGE = { memory: '1Gi', gracePeriod: `${GRACE_S}s` };
const slug = (kind: string): string => kind.toLowerCase().replace(/\W+/g, '-');
const CONFIG: JsonObject = {
  server: { allowedBinds: [results], maxRunningTasks: AT_ONCE + 10 },
  jobs: {
    ...Object.fromEntries(
      Object.entries(KINDS).flatMap(([kind, { script }]) => [
        [slug(kind), job(script, LARGE)],
        [`${slug(kind)}-late`, job(script, { ...LARGE, timeout: `${TIMEOUT_S}s` })],
      ]),
    ),
    default: job(atTerm('')),
    removed: job(atTerm('exit 4')),
    // A third of them are deaf, and would end by themselves after a minute.
    thousand: job(
      `${PRELUDE}\n[ $((CLOUD_RUN_TASK_INDEX % 3)) = 0 ] && trap '' TERM || trap 'exit 5' TERM\nfor i in $(seq 600); do sleep 0.1; done`,
      { taskCount: 1000, parallelism: AT_ONCE, memory: '16Mi', cpu: 0.1, gracePeriod: '2s' },
    ),
  },
};

describe('cancel, timeout and grace on a real engine', () => {
  const row = new ChaosRow('cancel-grace', 8);
  let gateway: GatewayProcess;
  let engine: EngineEndpoint;
  let oracle: EngineOracle;
  let withDefault = '';
  const caseOf = (round: number): Case => CASES[round % CASES.length] ?? { kind: '', by: 'cancel' };

  beforeAll(async () => {
    mkdirSync(results);
    engine = await testEngine();
    if (engine.kind !== 'unix') throw new Error('these tests need an engine behind a socket of this machine');
    oracle = await engineOracle(engine.path);
    gateway = new GatewayProcess({ dir, config: CONFIG, env: { DOCKER_HOST: await engineHost() } });
    await gateway.start();
    // Looked at by the last test: its half minute is that of all others.
    withDefault = await run('default');
    await up(withDefault);
    await cancel(withDefault);
  });
  afterAll(async () => {
    await gateway.stop();
    oracle.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const post = async (path: string): Promise<JsonObject> => {
    const answer = await gateway.api('POST', `/api/v1/${path}`, {});
    expect(answer.status, answer.text).toBe(200);
    return answer.json();
  };
  const run = async (name: string): Promise<string> => String((await post(`jobs/${name}:run`))['name']);
  const cancel = (execution: string): Promise<JsonObject> => post(`executions/${execution}:cancel`);
  const up = (execution: string): Promise<true> =>
    eventually(
      `${execution} is up`,
      () => (existsSync(join(results, `${execution}-0.up`)) ? true : undefined),
      30_000,
    );
  const ended = (execution: string): Promise<JsonObject> =>
    gateway.until(
      `/api/v1/executions/${execution}`,
      (one) => (one['completionTime'] === null ? undefined : one),
      50_000,
    );
  const attempt = async (execution: string): Promise<JsonObject> => {
    const path = `/api/v1/executions/${execution}/tasks/0/attempts`;
    const attempts = (await gateway.api('GET', path)).json()['attempts'] as JsonObject[];
    expect(attempts).toHaveLength(1);
    return attempts[0] ?? {};
  };
  /** What the container itself wrote down, in ms. */
  const noted = (execution: string, what: string): number =>
    Number(readFileSync(join(results, `${execution}-0.${what}`), 'utf8')) * 1000;
  const msBetween = (one: JsonObject, from: string, to: string): number =>
    Date.parse(String(one[to])) - Date.parse(String(one[from]));

  /** By the engine's own events, in epoch ms: its start, the first SIGTERM and those after it, and each SIGKILL. */
  const ordersTo = (
    execution: string,
  ): { started: number; told: number; again: number[]; kills: number[] } => {
    const all = oracle.actions(execution);
    const at = (action: string, signal?: number): number[] =>
      all
        .filter((one) => one.action === action && one.signal === signal)
        .map(({ time }) => Number(time / 1_000_000n));
    const [[started = NaN], [told = NaN, ...again]] = [at('start'), at('kill', SIGTERM)];
    return { started, told, again, kills: at('kill', SIGKILL) };
  };

  /** Tasks that have run, by their own word. */
  const begun = (execution: string): number =>
    readdirSync(results).filter((name) => name.startsWith(execution) && name.endsWith('.starts')).length;

  /** One case from its start to its end. */
  async function stops({ kind, by }: Case): Promise<void> {
    const { exitCode, ends, words } = KINDS[kind] ?? killed('');
    const execution = await run(by === 'cancel' ? slug(kind) : `${slug(kind)}-late`);
    if (by === 'cancel') {
      await up(execution);
      expect((await cancel(execution))['cancelRequestTime']).not.toBeNull();
    }
    const end = await ended(execution);
    const one = await attempt(execution);
    expect(end).toMatchObject({ state: by === 'cancel' ? 'CANCELLED' : 'FAILED', retriedCount: 0 });
    expect(one).toMatchObject({
      state: by === 'cancel' ? 'CANCELLED' : 'FAILED',
      reason: by === 'cancel' ? 'CANCELLED' : 'TIMED_OUT',
      stopReason: by,
      exitCode,
    });
    expect(one['message']).toMatch(words);
    const due = Date.parse(String(by === 'cancel' ? end['cancelRequestTime'] : one['deadline']));
    const took = Date.parse(String(one['endTime'])) - due;
    expect(took).toBeGreaterThanOrEqual(ends - 100);
    const { started, told, again, kills } = ordersTo(execution);
    expect(again).toEqual([]);
    const toTell = Math.max(due, started + FIRST_MOMENTS_MS);
    expect(told).toBeGreaterThanOrEqual(toTell - 100);
    expect(due + took).toBeLessThanOrEqual(toTell + ends + EXACT_MS);
    expect(kills).toHaveLength(exitCode === 137 ? 1 : 0);
    for (const kill of kills) expect(Math.abs(kill - told - GRACE_S * 1000)).toBeLessThanOrEqual(EXACT_MS);
    if (by === 'timeout') expect(msBetween(one, 'startTime', 'deadline')).toBe(TIMEOUT_S * 1000);
    // A fork bomb leaves its own shell no process to note the time with.
    if (exitCode === 137 && kind !== 'is a fork bomb')
      expect(lived(execution)).toBeGreaterThanOrEqual(ends - EXACT_MS);
    // It did reach its limit, and nobody else's.
    if (kind === 'is a fork bomb')
      expect(readFileSync(join(results, `${execution}-0.forks`), 'utf8')).toMatch(/can't fork/);
    await untilNoContainer(engine, execution);
  }
  /** By the container's own clock, from SIGTERM to its last beat. */
  const lived = (execution: string): number => noted(execution, 'last') - noted(execution, 'term');

  it(
    'stops each kind of container as it says, at the time that it says',
    async () => {
      const rounds = new ChaosRounds(row);
      const all = Array.from({ length: row.rounds }, (_, i) => caseOf(row.first + i));
      // A few at a time: what is measured is the grace, not how busy the machine is.
      for (let i = 0; i < all.length; i += 4) {
        const some = all.slice(i, i + 4);
        await Promise.all(some.map((one) => rounds.round(`${one.kind}, ${one.by}`, () => stops(one))));
      }
      expect(rounds.finish()).toEqual([]);
    },
    60_000 + row.rounds * 10_000,
  );

  it('cancels an execution of 1,000 tasks: what runs is ended, the rest never starts, also over a crash', async () => {
    const execution = await run('thousand');
    const path = `/api/v1/executions/${execution}`;
    await eventually('as many as may run', () => (begun(execution) === AT_ONCE ? true : undefined), 50_000);
    const answer = await cancel(execution);
    expect(answer).toMatchObject({ state: 'RUNNING', cancelRequestTime: expect.any(String) as unknown });
    // Recorded before anything is done: who comes after goes on with it.
    await gateway.kill();
    const asked = Date.now();
    await gateway.start();
    const end = await ended(execution);
    expect(end).toMatchObject({
      state: 'CANCELLED',
      reason: 'CANCELLED',
      cancelledCount: 1000,
      runningCount: 0,
    });
    // The grace, a crash, and as many removals as an engine does.
    expect(Date.now() - asked).toBeLessThan(45_000);
    expect(begun(execution)).toBe(AT_ONCE);
    const tasks = await gateway.list(`${path}/tasks`, 'tasks');
    expect(tasks).toHaveLength(1000);
    expect(tasks.filter(({ state }) => state !== 'CANCELLED')).toEqual([]);
    const deaf = String(tasks.find(({ index }) => index === 0)?.['message']);
    expect(deaf).toMatch(/SIGTERM did not end it within 2s, so it was killed/);
    await untilNoContainer(engine, execution);
  });

  it('says that a container is lost which somebody removed, and tries again by itself', async () => {
    const execution = await run('removed');
    await up(execution);
    const [container] = await containersOf(engine, execution);
    await engineRequest(engine, 'DELETE', `/v1.41/containers/${container?.Id ?? ''}?force=1`);
    const path = `/api/v1/executions/${execution}/tasks/0/attempts`;
    await gateway.until(path, ({ attempts }) => {
      const [lost, next] = attempts as JsonObject[];
      return lost?.['reason'] === 'CONTAINER_LOST' && next?.['state'] === 'RUNNING' ? true : undefined;
    });
    await eventually('it runs again', () =>
      readFileSync(join(results, `${execution}-0.starts`), 'utf8') === 'x\nx\n' ? true : undefined,
    );
    await cancel(execution);
    expect(await ended(execution)).toMatchObject({ state: 'CANCELLED' });
    await untilNoContainer(engine, execution);
  });

  it('kills after 30 s where the job says nothing else', async () => {
    const end = await ended(withDefault);
    expect(end).toMatchObject({ state: 'CANCELLED' });
    const one = await attempt(withDefault);
    expect(one).toMatchObject({ reason: 'CANCELLED', exitCode: 137 });
    expect(one['message']).toMatch(KILLED('30s'));
    // The gateway that took over has told it again, which changes nothing about the engine's own grace.
    const { told, kills } = ordersTo(withDefault);
    expect(kills).toHaveLength(1);
    for (const kill of kills) expect(Math.abs(kill - told - 30_000)).toBeLessThanOrEqual(EXACT_MS);
    expect(Date.parse(String(one['endTime'])) - told).toBeLessThanOrEqual(30_000 + EXACT_MS);
    expect(lived(withDefault)).toBeGreaterThanOrEqual(30_000 - EXACT_MS);
    // It is removed after its end has been stored.
    await untilNoContainer(engine, withDefault);
  });
});
