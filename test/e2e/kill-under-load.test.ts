import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { SeededRandom } from '../sim/seeded-random.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { containersWith, eventually } from '../support/chaos-rounds.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { TEST_IMAGE, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { InsistentSender, type Sent } from '../support/insistent-sender.ts';
import { askDatabase, databaseFaults } from '../support/whole-database.ts';

/**
 * `kill -9` of the real process at any moment while calls with ids come in, are executions, and those run. An engine
 * starts a handful of containers a second, so that one call in forty is one; the others are executions that end
 * because their image is nowhere, each with its end, its attempt and its event as any other.
 */
const PER_SECOND = 200;
const RUNS_EVERY = 40;
const GIVES_UP = 15;
const SENDS_TWICE = 20;
/** Of the R3 test: when the process is killed, from its start on. */
const KILL_FROM_MS = 50;
const KILL_TO_MS = 1_500;
/** A container takes up to a quarter of a second on two cores, and all come at the end. */
const QUIET_WITHIN_MS = 120_000;

const trigger = (job: string): JsonObject => ({
  source: { kind: 'webhook', auth: 'none' },
  run: { job, env: { ID: '${{ event.data.id }}' } },
});
const configOf = (marks: string): JsonObject => ({
  server: { allowedBinds: [marks] },
  jobs: {
    mark: {
      image: TEST_IMAGE,
      command: ['/bin/sh', '-c', 'echo "$ID $CLOUD_RUN_EXECUTION $CLOUD_RUN_TASK_ATTEMPT" >> /marks/all'],
      memory: '16Mi',
      timeout: '2m',
      volumes: [{ bind: marks, to: '/marks', readOnly: false }],
    },
    nowhere: { image: 'nowhere:1', pullPolicy: 'Never' },
  },
  triggers: { mark: trigger('mark'), nowhere: trigger('nowhere') },
});

const runs = (n: number): boolean => n % RUNS_EVERY === 1;

describe('kill -9 at any moment under 200 calls a second', () => {
  const row = chaosRow('kill-under-load', 25);
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-kill-load-')));
  let host = '';
  beforeAll(async () => void (host = await engineHost()));
  afterAll(() => rmSync(base, { recursive: true, force: true }));

  it(
    'each acknowledged call is one execution, each execution that runs is one container, and there is nothing else',
    async () => {
      row.begin(row.rounds);
      // Other moments in each part of a full run.
      const random = new SeededRandom(row.seed * 1_000 + row.first);
      const killed = await killUnderLoad({ dir: join(base, 'right'), host, random, kills: row.rounds });
      console.log(toldOf(killed));
      expect(killed.problems).toEqual([]);
      // It was a load, and it was felt.
      expect(killed.acknowledged).toBeGreaterThan(row.rounds * 20);
      expect(killed.failures).toBeGreaterThan(0);
    },
    200_000 + row.rounds * 5_000,
  );

  it('a gateway that forgets the ids of calls is seen to run them twice', async () => {
    const program = join(import.meta.dirname, '../support/forgetful-gateway.mjs');
    const random = new SeededRandom(row.seed);
    const killed = await killUnderLoad({ dir: join(base, 'wrong'), host, random, kills: 2, program });
    expect(killed.problems.filter((problem) => problem.includes('more than one execution'))).not.toEqual([]);
  });
});

interface Killing {
  readonly dir: string;
  readonly host: string;
  readonly random: SeededRandom;
  readonly kills: number;
  readonly program?: string;
}
interface Killed {
  /** Of each kill, in ms from the start of the process. */
  readonly moments: readonly number[];
  readonly ids: number;
  readonly acknowledged: number;
  /** Calls. */
  readonly failures: number;
  readonly problems: readonly string[];
}

const toldOf = ({ moments, ids, acknowledged, failures }: Killed): string =>
  `killed ${moments.join(', ')} ms after the start; ${ids} ids, ${acknowledged} acknowledged, ${failures} calls failed`;

async function killUnderLoad({ dir, host, random, kills, program }: Killing): Promise<Killed> {
  const marks = join(dir, 'marks');
  mkdirSync(marks, { recursive: true });
  const gateway = new GatewayProcess({
    dir,
    config: configOf(marks),
    env: { DOCKER_HOST: host },
    ...(program === undefined ? {} : { program }),
  });
  const sender = new InsistentSender({
    url: (n) => `${gateway.url}/hooks/${runs(n) ? 'mark' : 'nowhere'}`,
    perSecond: PER_SECOND,
    givesUp: GIVES_UP,
    sendsTwice: SENDS_TWICE,
    random,
  });
  const moments = Array.from({ length: kills }, () => random.between(KILL_FROM_MS, KILL_TO_MS));
  try {
    await gateway.start();
    for (const ms of moments) {
      sender.go();
      await wait(ms);
      await gateway.kill();
      sender.pause();
      await gateway.start();
    }
    await sender.finish();
    await eventually('every execution has ended', () => isQuiet(gateway), QUIET_WITHIN_MS);
    const engine = await testEngine();
    await eventually('no container is left', () => noContainer(engine, marks));
    await gateway.stop();
  } finally {
    await gateway.kill();
  }
  return {
    moments,
    ids: sender.sent.length,
    acknowledged: sender.sent.filter((sent) => sent.acknowledged.length > 0).length,
    failures: sender.failures,
    problems: [...sender.wrong, ...problems(sender.sent, dir)],
  };
}

async function isQuiet(gateway: GatewayProcess): Promise<true | undefined> {
  for (const state of ['PENDING', 'RUNNING']) {
    const answer = await gateway.api('GET', `/api/v1/executions?state=${state}&pageSize=1`);
    if ((answer.json()['executions'] as JsonObject[]).length > 0) return undefined;
  }
  return true;
}

/** Whatever container has our folder, running or not. */
async function noContainer(engine: EngineEndpoint, marks: string): Promise<true | undefined> {
  return (await containersWith(engine, { volume: [marks] })).length === 0 ? true : undefined;
}

/** Of each event, by another library than the writer's: its id, its execution, and how that has ended. */
const ROWS = `SELECT json_extract(e.envelope, '$.data.id'), e.uid, x.name, x.job, x.state,
    (SELECT group_concat(a.attempt || ':' || a.state || ':' || coalesce(a.exit_code, '') || ':' || coalesce(a.reason, ''))
      FROM attempts a WHERE a.execution = x.seq)
  FROM events e LEFT JOIN executions x ON x.event_uid = e.uid
  WHERE e.origin <> 'execution'`;
const ANNOUNCED = {
  'an end that was not told just once': `SELECT name, n FROM executions
    LEFT JOIN (SELECT json_extract(envelope, '$.subject') AS about, count(*) AS n FROM events WHERE origin = 'execution' GROUP BY 1)
    ON about = name WHERE n IS NOT 1`,
};

type Row = ReturnType<typeof askDatabase>[number][number];

/** What is wrong with what is in the database and with what the containers have written, in words. */
function problems(all: readonly Sent[], dir: string): string[] {
  const database = join(dir, 'data/tappet.db');
  const [rows = []] = askDatabase(database, [ROWS]);
  const lines = readFileSync(join(dir, 'marks/all'), 'utf8').trim().split('\n');
  const events = byId(rows, ([id]) => String(id));
  const marks = byId(lines, (line) => line.slice(0, line.indexOf(' ')));
  const ids = new Set(all.map(({ id }) => id));
  return [
    ...databaseFaults(database, ANNOUNCED),
    ...[...events.keys(), ...marks.keys()].filter((id) => !ids.has(id)).map((id) => `${id}: nobody sent it`),
    ...all.flatMap((sent) => {
      const has = events.get(sent.id) ?? [];
      const marked = marks.get(sent.id) ?? [];
      return problemsOf(sent, has, marked).map(
        (what) => `${sent.id}: ${what}: ${JSON.stringify({ sent, has, marked })}`,
      );
    }),
  ];
}

function problemsOf({ id, n, acknowledged }: Sent, has: readonly Row[], marked: readonly string[]): string[] {
  const [first] = has;
  if (first === undefined) return acknowledged.length > 0 ? ['acknowledged, and no execution'] : [];
  const [, , name, job, state, attempts] = first;
  const end = runs(n)
    ? 'mark SUCCEEDED 0:SUCCEEDED:0:EXITED_ZERO'
    : 'nowhere FAILED 0:FAILED::IMAGE_NOT_FOUND';
  const mark = runs(n) ? `${id} ${String(name)} 0` : '';
  const wrong = {
    'more than one execution': has.length > 1,
    'acknowledged as another execution': acknowledged.some((names) => names.join() !== name),
    'another end than it has': [job, state, attempts].join(' ') !== end,
    'not as often in a container as it is to be': marked.join() !== mark,
  };
  return Object.entries(wrong).flatMap(([what, is]) => (is ? [what] : []));
}

function byId<T>(all: readonly T[], idOf: (one: T) => string): Map<string, T[]> {
  const map = new Map<string, T[]>();
  for (const one of all) {
    const id = idOf(one);
    const others = map.get(id);
    if (others === undefined) map.set(id, [one]);
    else others.push(one);
  }
  return map;
}
