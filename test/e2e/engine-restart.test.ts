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
import { ChaosRow } from '../support/chaos-row.ts';
import { ChaosRounds, containersOf, eventually, untilNoContainer } from '../support/chaos-rounds.ts';
import { TEST_IMAGE, testImage } from '../support/engine.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { privateEngine } from '../support/private-engine.ts';
import type { PrivateEngine } from '../support/private-engine.ts';

const TASKS = 10;
/** So many of them end while the engine is away, where it leaves them running. */
const END_MEANWHILE = 3;
/** How long it is away; a full run has one round of two minutes. */
const AWAY_MS = 2_000;
const LONG_AWAY_MS = 120_000;
/** Restarts in a full run. */
const FULL = 40;
/** What waits for its next attempt does so for 5 s, and on a busy machine ten starts take as long again. */
const RESTARTED_WITHIN_MS = 60_000;

/** Each attempt notes when it began and, ten times a second, that it lives, by the machine's clock. */
const SCRIPT = `
r=/results/$CLOUD_RUN_EXECUTION-$CLOUD_RUN_TASK_INDEX; a=$CLOUD_RUN_TASK_ATTEMPT
now() { cut -d' ' -f1 /proc/uptime; }
echo $a >> $r.starts; now > $r.first.$a
until [ -e /results/$CLOUD_RUN_EXECUTION.go ] || [ -e $r.go ]; do now > $r.next; mv $r.next $r.last.$a; sleep 0.1; done
exit $((CLOUD_RUN_TASK_INDEX % 4))`;

/** An engine and a gateway of one mode. */
class Stage {
  readonly dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-restart-')));
  readonly results = join(this.dir, 'results');
  readonly liveRestore: boolean;
  engine!: PrivateEngine;
  gateway!: GatewayProcess;

  constructor(liveRestore: boolean) {
    this.liveRestore = liveRestore;
  }

  async open(): Promise<void> {
    mkdirSync(this.results);
    this.engine = await privateEngine({ liveRestore: this.liveRestore });
    await testImage(this.engine.endpoint);
    const { endpoint } = this.engine;
    const host = endpoint.kind === 'unix' ? `unix://${endpoint.path}` : '';
    this.gateway = new GatewayProcess({ dir: this.dir, config: this.#config(), env: { DOCKER_HOST: host } });
    await this.gateway.start();
  }

  async close(): Promise<void> {
    await this.gateway.stop();
    await this.engine.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  #config(): JsonObject {
    const ten = {
      image: TEST_IMAGE,
      command: ['/bin/sh', '-c', SCRIPT],
      taskCount: TASKS,
      parallelism: 0,
      maxRetries: 0,
      memory: '16Mi',
      volumes: [{ bind: this.results, to: '/results', readOnly: false }],
    };
    return { server: { allowedBinds: [this.results] }, jobs: { ten } };
  }

  /** Ten tasks that run, seen from inside of them. */
  async running(): Promise<string> {
    const answer = await this.gateway.api('POST', '/api/v1/jobs/ten:run', {});
    const execution = String(answer.json()['name']);
    await this.started(execution, 0);
    await this.gateway.until(`/api/v1/executions/${execution}`, (one) =>
      one['runningCount'] === TASKS ? true : undefined,
    );
    return execution;
  }

  /** So many attempts of each task have begun. */
  started(execution: string, attempt: number): Promise<true> {
    return eventually(
      `attempt ${attempt} of all tasks of ${execution}`,
      () => (count((i) => this.has(execution, i, `last.${attempt}`)) === TASKS ? true : undefined),
      RESTARTED_WITHIN_MS,
    );
  }
  has(execution: string, index: number, what: string): boolean {
    return existsSync(join(this.results, `${execution}-${index}.${what}`));
  }
  /** Hundredths of seconds since the machine's start, or the numbers of the attempts that began. */
  noted(execution: string, index: number, what: string): string {
    return readFileSync(join(this.results, `${execution}-${index}.${what}`), 'utf8').trim();
  }
  /** Lets one task, or all, end. */
  letEnd(execution: string, index?: number): void {
    writeFileSync(join(this.results, `${execution}${index === undefined ? '' : `-${index}`}.go`), '');
  }
  ended(execution: string): Promise<JsonObject> {
    const path = `/api/v1/executions/${execution}`;
    return this.gateway.until(path, (one) => (one['completionTime'] === null ? undefined : one), 60_000);
  }
  /** What there is to say where something did not happen. */
  async told(execution: string): Promise<string> {
    const lines = Array.from({ length: TASKS }, async (_, i) => {
      const words = (await this.attempts(execution, i)).map(
        ({ attempt, state, reason, message }) =>
          `${String(attempt)} ${String(state)} ${String(reason)} ${String(message)}`,
      );
      return `task ${i}: ${words.join(' | ')}`;
    });
    return `${(await Promise.all(lines)).join('\n')}\n${this.gateway.output.slice(-4000)}`;
  }
  async attempts(execution: string, index: number): Promise<JsonObject[]> {
    const path = `/api/v1/executions/${execution}/tasks/${index}/attempts`;
    return (await this.gateway.api('GET', path)).json()['attempts'] as JsonObject[];
  }
}

interface Outage {
  readonly by: 'SIGTERM' | 'SIGKILL';
  readonly awayMs: number;
}
/** Both modes in turn, each with both signals in turn; the last two rounds of a full run are long ones. */
function roundOf(round: number): Outage & { readonly mode: 'kept' | 'ended' } {
  const mode = round % 2 === 0 ? 'kept' : 'ended';
  // The first of each mode, which CI runs: SIGKILL where containers are kept, SIGTERM where they are not.
  const by = (round + (round >> 1)) % 2 === 0 ? 'SIGKILL' : 'SIGTERM';
  return { mode, by, awayMs: round % FULL >= FULL - 2 ? LONG_AWAY_MS : AWAY_MS };
}

async function goAway(stage: Stage, { by, awayMs }: Outage, meanwhile?: () => void): Promise<void> {
  await (by === 'SIGTERM' ? stage.engine.stop() : stage.engine.kill());
  meanwhile?.();
  await wait(awayMs);
  await stage.engine.start();
}

describe('a restart of the engine with 10 running tasks', () => {
  const row = new ChaosRow('engine-restart', 2);
  const stages = { kept: new Stage(true), ended: new Stage(false) };
  beforeAll(() => Promise.all([stages.kept.open(), stages.ended.open()]));
  afterAll(() => Promise.all([stages.kept.close(), stages.ended.close()]));

  it(
    'with live-restore all are taken up again with their exit codes; without they are tried again, never beside the one before',
    async () => {
      const rounds = new ChaosRounds(row);
      const all = Array.from({ length: row.rounds }, (_, i) => roundOf(row.first + i));
      const eachOf = async (mode: 'kept' | 'ended', body: typeof takenUp): Promise<void> => {
        for (const away of all.filter((one) => one.mode === mode)) {
          const what = `${mode}, ${away.by}, away for ${away.awayMs} ms`;
          await rounds.round(what, () => body(stages[mode], away));
        }
      };
      await Promise.all([eachOf('kept', takenUp), eachOf('ended', triedAgain)]);
      expect(rounds.finish()).toEqual([]);
    },
    120_000 + row.rounds * 90_000,
  );
});

async function takenUp(stage: Stage, away: Outage): Promise<void> {
  const execution = await stage.running();
  const before = (await containersOf(stage.engine.endpoint, execution)).map(({ Id }) => Id).sort();
  await goAway(stage, away, () => {
    for (let i = 0; i < END_MEANWHILE; i++) stage.letEnd(execution, i);
  });
  const path = `/api/v1/executions/${execution}`;
  await stage.gateway.until(path, (one) =>
    one['runningCount'] === TASKS - END_MEANWHILE ? true : undefined,
  );
  const after = (await containersOf(stage.engine.endpoint, execution)).map(({ Id }) => Id);
  expect(after.filter((id) => !before.includes(id))).toEqual([]);
  stage.letEnd(execution);
  await stage.ended(execution);
  for (let i = 0; i < TASKS; i++) {
    const attempts = await stage.attempts(execution, i);
    expect(attempts).toHaveLength(1);
    const reason = i % 4 === 0 ? 'EXITED_ZERO' : 'NON_ZERO_EXIT_CODE';
    expect(attempts[0]).toMatchObject({ attempt: 0, exitCode: i % 4, reason });
    expect(stage.noted(execution, i, 'starts')).toBe('0');
  }
  await untilNoContainer(stage.engine.endpoint, execution);
}

async function triedAgain(stage: Stage, away: Outage): Promise<void> {
  const execution = await stage.running();
  await goAway(stage, away);
  await stage.started(execution, 1).catch(async (error: unknown) => {
    throw new Error(`${String(error)}; ${await stage.told(execution)}`);
  });
  stage.letEnd(execution);
  await stage.ended(execution);
  for (let i = 0; i < TASKS; i++) {
    const [first, second, ...more] = await stage.attempts(execution, i);
    expect(more).toEqual([]);
    expect(first).toMatchObject({ state: 'FAILED', reason: 'ENGINE_RESTARTED' });
    expect(second).toMatchObject({ attempt: 1, exitCode: i % 4 });
    expect(stage.noted(execution, i, 'starts')).toBe('0\n1');
    const lastOfFirst = Number(stage.noted(execution, i, 'last.0'));
    expect(Number(stage.noted(execution, i, 'first.1'))).toBeGreaterThan(lastOfFirst);
  }
  await untilNoContainer(stage.engine.endpoint, execution);
}

function count(holds: (index: number) => boolean): number {
  return Array.from({ length: TASKS }, (_, index) => index).filter(holds).length;
}
