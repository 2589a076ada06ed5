import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { ChaosRow } from '../support/chaos-row.ts';
import { ChaosRounds, eventually, untilNoContainer } from '../support/chaos-rounds.ts';
import { TEST_IMAGE, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { SteadyCaller } from '../support/steady-caller.ts';
import { askDatabase, databaseFaults } from '../support/whole-database.ts';

/**
 * A disk that is full, in one of three places, while calls come in and tasks print. `data`: the whole data folder, the
 * database and the logs. `logs`: the logs alone. `temporary`: where programs put their temporary files, which the
 * gateway does not use: nothing may change.
 */
const PLACES = ['data', 'logs', 'temporary'] as const;
type Place = (typeof PLACES)[number];

const row = new ChaosRow('disk-full', PLACES.length);
const RECOVERS_WITHIN_MS = 5_000;
const TELLS_WITHIN_MS = 5_000;
const CALLS_PER_SECOND = 60;
/** Longer than the 15 s after which the right to touch the engine's containers is over, if it cannot be renewed. */
const LONG_MS = 17_000;
/** Of each place one round in so many is long. */
const LONG_EVERY = 10;
const TASKS = 3;
/** To each stream. */
const BLOCKS = 5;
const BLOCK = 40_000;

/** As the round has it, and no other: the same with the same seed. */
const draw = (round: number, what: string, below: number): number =>
  createHash('sha256').update(`${row.seed}/${round}/${what}`).digest().readUInt32BE() % below;

const placeOf = (round: number): Place => PLACES[round % PLACES.length] ?? 'data';
/** The log of the database takes 8 MiB before it begins anew. */
const sizeOf = (round: number): number =>
  placeOf(round) === 'data' ? 56 + draw(round, 'size', 9) : 4 + draw(round, 'size', 61);
const fullMs = (round: number): number =>
  Math.floor(round / PLACES.length) % LONG_EVERY === LONG_EVERY - 1
    ? LONG_MS
    : 1_000 + draw(round, 'full', 2_000);

/** Prints when it is told to, in pieces, and says before what it will have printed. */
const TALK = `
i=$CLOUD_RUN_TASK_INDEX; r=/results/$CLOUD_RUN_EXECUTION-$i
echo "$CLOUD_RUN_TASK_ATTEMPT" >> $r.starts
for s in out err; do
  yes "$s $i $CLOUD_RUN_EXECUTION 0123456789 abcdefghijklmnopqrstuvwxyz" | head -c $((${BLOCKS} * ${BLOCK} - 9)) > /tmp/$s
  printf 'no newli%s' "$i" >> /tmp/$s
  sha256sum < /tmp/$s | cut -d' ' -f1 > $r.$s
done
echo ready > $r.ready
while [ ! -e /results/go ]; do sleep 0.1; done
k=0; while [ $k -lt ${BLOCKS} ]; do
  dd if=/tmp/out bs=${BLOCK} skip=$k count=1 2>/dev/null
  dd if=/tmp/err bs=${BLOCK} skip=$k count=1 >&2 2>/dev/null
  sleep 0.4; k=$((k + 1))
done
exit $((i % 2))`;

const configFor = (results: string): JsonObject => {
  const job = (more: JsonObject): JsonObject => ({
    image: TEST_IMAGE,
    memory: '16Mi',
    maxRetries: 0,
    volumes: [{ bind: results, to: '/results', readOnly: false }],
    ...more,
  });
  return {
    server: { allowedBinds: [results] },
    jobs: {
      talk: job({ command: ['/bin/sh', '-c', TALK], taskCount: TASKS, parallelism: 0 }),
      quick: job({
        command: ['/bin/sh', '-c', 'echo "$CLOUD_RUN_EXECUTION $(cat /in/word)" >> /results/starts'],
        inputs: [{ from: { env: 'WORD' }, to: '/in/word' }],
        maxConcurrentExecutions: 2,
      }),
    },
    triggers: { call: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'quick' } } },
  };
};

const base = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-full-')));
afterAll(() => rmSync(base, { recursive: true, force: true }));

describe('a full disk', () => {
  let engine: EngineEndpoint;
  let host: string;
  beforeAll(async () => {
    engine = await testEngine();
    host = await engineHost();
  });

  it(
    'refuses what it cannot store, says so, and goes on when there is room, with nothing lost or done twice',
    async () => {
      const rounds = new ChaosRounds(row);
      for (let round = row.first; round < row.first + row.rounds; round++) {
        const what = `${placeOf(round)}, ${sizeOf(round)} MiB, full for ${fullMs(round)} ms`;
        await rounds.round(what, async () => {
          const figures = await fillOnce(round, engine, host);
          console.log(`${what}: ${figures}`);
        });
      }
      expect(rounds.finish()).toEqual([]);
    },
    60_000 + row.rounds * 60_000,
  );
});

interface Round {
  readonly place: Place;
  readonly disk: SmallDisk;
  readonly gateway: GatewayProcess;
  readonly results: string;
}

async function fillOnce(round: number, engine: EngineEndpoint, host: string): Promise<string> {
  const dir = join(base, `round-${round}`);
  const results = join(dir, 'results');
  mkdirSync(results, { recursive: true });
  const place = placeOf(round);
  const where = { data: 'data', logs: 'data/logs', temporary: 'tmp' }[place];
  const disk = new SmallDisk(join(dir, where), sizeOf(round));
  const env = { DOCKER_HOST: host, WORD: 'word', ...(place === 'temporary' && temporaryAt(disk.path)) };
  const gateway = new GatewayProcess({ dir, config: configFor(results), env, flags: ['--drain'] });
  try {
    await gateway.start();
    return await underLoad({ place, disk, gateway, results }, round, engine);
  } finally {
    disk.free();
    writeFileSync(join(results, 'go'), '');
    await gateway.stop();
    disk.end();
  }
}

const temporaryAt = (path: string): Record<string, string> => ({ TMPDIR: path, SQLITE_TMPDIR: path });

async function underLoad(parts: Round, round: number, engine: EngineEndpoint): Promise<string> {
  const { place, disk, gateway, results } = parts;
  const { pid } = gateway;
  const talk = String((await gateway.api('POST', '/api/v1/jobs/talk:run', {})).json()['name']);
  await gateway.until(`/api/v1/executions/${talk}`, (one) =>
    one['runningCount'] === TASKS && ready(results, talk) ? true : undefined,
  );
  const caller = new SteadyCaller(`r${round}`, {
    url: `${gateway.url}/hooks/call`,
    perSecond: CALLS_PER_SECOND,
    connections: 8,
    headers: (id) => ({ 'idempotency-key': id }),
    body: (n) => JSON.stringify({ n }),
  });
  await eventually('calls are taken', () => (caller.acknowledged.length > 0 ? true : undefined));
  writeFileSync(join(results, 'go'), '');
  await wait(draw(round, 'moment', 1_500));
  disk.fill();
  const filled = Date.now();
  if (place !== 'temporary') await degraded(parts);
  if (place === 'data')
    await eventually('a call is refused', () => (refusedOf(caller).length > 0 ? true : undefined));
  await wait(Math.max(0, fullMs(round) - (Date.now() - filled)));
  if (place !== 'temporary') expect((await healthOf(gateway))['state']).toBe('degraded');
  const freed = Date.now();
  disk.free();
  await recovered(gateway, caller, freed);
  const tookMs = Date.now() - freed;
  await caller.stop();
  await settled(parts, talk, engine);
  expect(gateway.pid).toBe(pid);
  gateway.signal('SIGTERM');
  expect(await gateway.ended()).toEqual({ code: 0, signal: null });
  judgeCalls(place, caller);
  judgeRows(gateway, caller, results);
  if (place === 'temporary') expect(disk.foreign()).toEqual([]);
  const counts = `${caller.acknowledged.length} calls taken, ${refusedOf(caller).length} refused`;
  return `${counts}, back after ${tookMs} ms`;
}

const ready = (results: string, execution: string): boolean =>
  Array.from({ length: TASKS }, (_, i) => existsSync(join(results, `${execution}-${i}.ready`))).every(
    Boolean,
  );

const refusedOf = ({ calls }: SteadyCaller) => calls.filter(({ status }) => status === 503 || status === 507);

async function healthOf(gateway: GatewayProcess): Promise<JsonObject> {
  const status = await gateway.api('GET', '/api/v1/status');
  expect(status.status).toBe(200);
  return status.json()['health'] as JsonObject;
}

const isReady = async (gateway: GatewayProcess): Promise<boolean> =>
  (await fetch(`${gateway.url}/readyz`)).status === 200;

/** The status names what cannot be written and why; who could not be stored anyway is sent elsewhere. */
async function degraded({ place, gateway }: Round): Promise<void> {
  const part = place === 'data' ? 'database' : 'logs';
  const problem = await eventually(
    `the status says that the ${part} cannot be written`,
    async () => ((await healthOf(gateway))['problems'] as JsonObject[]).find((one) => one['part'] === part),
    TELLS_WITHIN_MS,
  );
  expect(problem['message']).toMatch(/full|no space left/i);
  expect(problem['message']).toMatch(/no restart is needed/);
  expect(await isReady(gateway)).toBe(place !== 'data');
  expect((await fetch(`${gateway.url}/livez`)).status).toBe(200);
}

async function recovered(gateway: GatewayProcess, caller: SteadyCaller, freed: number): Promise<void> {
  const left = (): number => Math.max(0, freed + RECOVERS_WITHIN_MS - Date.now());
  const taken = (): boolean => caller.acknowledged.some(({ sentTime }) => sentTime > freed);
  await eventually('a call is taken again', () => (taken() ? true : undefined), left());
  await eventually(
    'the status is as it was',
    async () => ((await healthOf(gateway))['state'] === 'ok' && (await isReady(gateway)) ? true : undefined),
    left(),
  );
  await gateway.until(
    '/api/v1/status',
    ({ engine }) => ((engine as JsonObject)['state'] === 'ready' ? true : undefined),
    left(),
  );
}

/** Every task has ended as its container did, with the whole of its output, and nothing is left of it. */
async function settled({ gateway, results }: Round, talk: string, engine: EngineEndpoint): Promise<void> {
  const ended = await gateway.until(`/api/v1/executions/${talk}`, (one) =>
    one['completionTime'] === null ? undefined : one,
  );
  expect(ended).toMatchObject({ succeededCount: 2, failedCount: 1, retriedCount: 0 });
  for (let index = 0; index < TASKS; index++) {
    const path = `/api/v1/executions/${talk}/tasks/${index}`;
    const attempts = (await gateway.api('GET', `${path}/attempts`)).json()['attempts'] as JsonObject[];
    expect(attempts.map(({ exitCode }) => exitCode)).toEqual([index % 2]);
    const file = (kind: string): string =>
      readFileSync(join(results, `${talk}-${index}.${kind}`), 'utf8').trim();
    expect(file('starts')).toBe('0');
    for (const [kind, stream] of Object.entries({ out: 'stdout', err: 'stderr' })) {
      const answer = await fetch(`${gateway.url}${path}/logs?stream=${stream}`, {
        headers: { authorization: `Bearer ${gateway.token}` },
      });
      const log = new Uint8Array(await answer.arrayBuffer());
      const sum = createHash('sha256').update(log).digest('hex');
      expect(sum, `${stream} of task ${index}, ${log.length} bytes`).toBe(file(kind));
    }
  }
  await untilNoContainer(engine, talk);
}

/** Each call has an answer; a refusal says when to come again, and is heard only where nothing could be stored. */
function judgeCalls(place: Place, caller: SteadyCaller): void {
  expect(caller.calls.filter(({ status }) => status === undefined)).toEqual([]);
  const refused = refusedOf(caller);
  expect(caller.acknowledged.length + refused.length).toBe(caller.calls.length);
  expect(refused.filter(({ retryAfter }) => !(Number(retryAfter) > 0))).toEqual([]);
  if (place !== 'data') expect(refused).toEqual([]);
}

/** Acknowledged: stored, once, with its execution. Refused: not stored. What ran did so once, and succeeded. */
function judgeRows(gateway: GatewayProcess, caller: SteadyCaller, results: string): void {
  const path = join(gateway.dataDir, 'tappet.db');
  const half = {
    'a decision without its execution':
      'SELECT execution FROM decisions WHERE execution IS NOT NULL AND execution NOT IN (SELECT name FROM executions)',
    // What the last end said of itself is left to the next process.
    'an event that nobody decided':
      "SELECT uid FROM events WHERE decide_time IS NULL AND origin <> 'execution'",
    'a task that did not end well':
      "SELECT name, state FROM executions WHERE job = 'quick' AND state NOT IN ('SUCCEEDED', 'PENDING') OR retried > 0",
  };
  expect(databaseFaults(path, half).join('; ')).toBe('');
  const [stored = [], ran = []] = askDatabase(path, [
    `SELECT k.id FROM event_keys k JOIN executions x ON x.event_uid = k.event_uid WHERE x.job = 'quick' ORDER BY k.id`,
    `SELECT name FROM executions WHERE job = 'quick' AND state = 'SUCCEEDED' ORDER BY name`,
  ]);
  const ids = caller.acknowledged.map(({ id }) => id).sort();
  expect(stored.map(([id]) => id)).toEqual(ids);
  const starts = readFileSync(join(results, 'starts'), 'utf8').trim().split('\n').sort();
  expect(starts).toEqual(ran.map(([name]) => `${name} word`));
  expect(starts.length).toBeGreaterThan(0);
}
