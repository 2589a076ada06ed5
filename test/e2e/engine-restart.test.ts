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

/**
 * Each attempt notes when it began and, ten times a second, that it lives, by the machine's clock; each time it prints a
 * line, and how many there are stands beside. Its last line has no end.
 */
const SCRIPT = `
r=/results/$CLOUD_RUN_EXECUTION-$CLOUD_RUN_TASK_INDEX; a=$CLOUD_RUN_TASK_ATTEMPT
now() { cut -d' ' -f1 /proc/uptime; }
echo $a >> $r.starts; now > $r.first.$a
k=0
until [ -e /results/$CLOUD_RUN_EXECUTION.go ] || [ -e $r.go ]; do
  k=$((k + 1)); echo "tick $k"; echo $k > $r.next; mv $r.next $r.printed.$a; now > $r.next; mv $r.next $r.last.$a; sleep 0.1
done
printf "end of $a"
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
  /** How many lines each task's attempt has printed by now, once all of them are in its log. */
  async printed(execution: string, attempt: number): Promise<number[]> {
    const counts = Array.from({ length: TASKS }, (_, i) => this.ticks(execution, i, attempt));
    for (const [i, lines] of counts.entries())
      await eventually(`${lines} lines of task ${i}`, async () => {
        const text = await this.log(execution, i, attempt, 'stdout');
        return text.startsWith(ticks(lines)) ? true : undefined;
      });
    return counts;
  }
  ticks(execution: string, index: number, attempt: number): number {
    return Number(this.noted(execution, index, `printed.${attempt}`));
  }
  async log(execution: string, index: number, attempt: number, stream: 'stdout' | 'stderr'): Promise<string> {
    const path = `/api/v1/executions/${execution}/tasks/${index}/logs?attempt=${attempt}&stream=${stream}`;
    return (await this.gateway.api('GET', path)).text;
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
    'with live-restore all are taken up again with their exit codes and output; without they are tried again, never beside the one before',
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
  const printed = await stage.printed(execution, 0);
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
    const [stdout, stderr] = await logOf(stage, execution, i, 0);
    const whole = `${ticks(stage.ticks(execution, i, 0))}end of 0`;
    // What it printed while the engine was away is lost where it also ended then, and the log says so.
    if (i < END_MEANWHILE) expectBeginning(whole, stdout, printed[i]);
    else expect(stdout).toBe(whole);
    expect(stderr).toBe(i < END_MEANWHILE ? MAY_BE_MISSING : '');
  }
  await untilNoContainer(stage.engine.endpoint, execution);
}

async function triedAgain(stage: Stage, away: Outage): Promise<void> {
  const execution = await stage.running();
  const printed = await stage.printed(execution, 0);
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
    const [stdout, stderr] = await logOf(stage, execution, i, 0);
    // One line more may be printed than was noted.
    expectBeginning(ticks(stage.ticks(execution, i, 0) + 1), stdout, printed[i]);
    expect(['', MAY_BE_MISSING]).toContain(stderr);
    const again = `${ticks(stage.ticks(execution, i, 1))}end of 1`;
    expect(await logOf(stage, execution, i, 1)).toEqual([again, '']);
  }
  await untilNoContainer(stage.engine.endpoint, execution);
}

/** What the product says where nobody knows what was printed last. */
const MAY_BE_MISSING =
  '\n[tappet] Output may be missing here: the engine was away when the container ended, or was restarted since.\n';

function ticks(lines: number): string {
  return Array.from({ length: lines }, (_, i) => `tick ${i + 1}\n`).join('');
}

function logOf(stage: Stage, execution: string, index: number, attempt: number): Promise<[string, string]> {
  const of = (stream: 'stdout' | 'stderr') => stage.log(execution, index, attempt, stream);
  return Promise.all([of('stdout'), of('stderr')]);
}

/** It is the beginning of `whole`, and has at least so many lines of it. */
function expectBeginning(whole: string, stdout: string, lines: number | undefined): void {
  expect(whole.slice(0, stdout.length)).toBe(stdout);
  expect(stdout.length).toBeGreaterThanOrEqual(ticks(lines ?? Infinity).length);
}

function count(holds: (index: number) => boolean): number {
  return Array.from({ length: TASKS }, (_, index) => index).filter(holds).length;
}
