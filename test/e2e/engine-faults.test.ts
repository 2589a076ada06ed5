import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { Semaphore } from '../../src/lib/semaphore.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { TEST_IMAGE, testEngine, testImage } from '../support/engine.ts';
import { FAULT_KINDS } from '../support/engine-fault-kinds.ts';
import { engineApi } from '../support/engine-fault-rules.ts';
import type { FaultPlace } from '../support/engine-fault-kinds.ts';
import type { FaultTools, Rule } from '../support/engine-fault-rules.ts';
import { engineOracle } from '../support/engine-oracle.ts';
import type { EngineOracle } from '../support/engine-oracle.ts';
import { engineFaultProxy } from '../support/fault-proxy-engine.ts';
import type { EngineFaultProxy } from '../support/fault-proxy-engine.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const KINDS = Object.keys(FAULT_KINDS);
/** Gateways at the same time: they wait more than they work. */
const AT_ONCE = 12;
/** None that an engine which ends gives its containers (137, 143): around an outage those mean another thing. */
const EXIT_CODES = [0, 7, 130] as const;
const LINES = 900;

/** Some 8 KB over more than a second, none of it before its own note that it has begun. */
const SCRIPT = `
echo "start $CLOUD_RUN_TASK_ATTEMPT" >> /results/$CLOUD_RUN_EXECUTION
k=0; while [ $k -lt 9 ]; do
  seq $((k * 100 + 1)) $((k * 100 + 100)) | sed 's/^/line /'
  sleep 0.15; k=$((k + 1))
done
echo "an error" >&2; printf 'no newline'
echo "end $CLOUD_RUN_TASK_ATTEMPT" >> /results/$CLOUD_RUN_EXECUTION
exit $CODE`;
const STDOUT = `${Array.from({ length: LINES }, (_, i) => `line ${i + 1}\n`).join('')}no newline`;

interface Round {
  readonly kind: string;
  readonly place: FaultPlace;
  readonly exitCode: number;
}

/** What a kind is tried with: a gateway of its own, behind a proxy of its own. */
interface Stage {
  readonly gateway: GatewayProcess;
  readonly proxy: EngineFaultProxy;
  readonly oracle: EngineOracle;
  readonly engine: string;
  readonly results: string;
}

describe('faults of the engine', () => {
  const row = chaosRow('engine-faults', 2 * KINDS.length);
  const base = mkdtempSync(join(tmpdir(), 'tappet-faults-'));
  const rounds = Array.from({ length: row.rounds }, (_, i) => roundOf(row.first + i));
  const of = (kind: string) => rounds.filter((round) => round.kind === kind);
  const tried = KINDS.filter((kind) => of(kind).length > 0);
  const results = new Map<string, Promise<string[]>>();
  let oracle: EngineOracle;

  beforeAll(async () => {
    const endpoint = await testEngine();
    if (endpoint.kind !== 'unix') throw new TypeError('the proxy stands in front of a socket');
    await testImage(endpoint);
    oracle = await engineOracle(endpoint.path);
    const turns = new Semaphore(AT_ONCE);
    for (const kind of tried) {
      const dir = join(base, `k${results.size}`);
      const result = turns.run(() => runKind(of(kind), dir, endpoint.path, oracle, () => row.begin()));
      result.catch(() => undefined);
      results.set(kind, result);
    }
  });
  afterAll(() => {
    oracle.close();
    rmSync(base, { recursive: true, force: true });
  });

  it.each(tried)(
    '%s: each task runs once, ends as it ended, leaves nothing, and says why',
    async (kind) => expect(await results.get(kind)).toEqual([]),
    60_000 + row.rounds * 30_000,
  );

  it('were tried at least once', () => {
    expect(rounds.length).toBeGreaterThan(0);
    expect(tried).toHaveLength(Math.min(rounds.length, KINDS.length));
  });
});

/** The kinds in turn; of each, its places in turn. */
function roundOf(i: number): Round {
  const kind = KINDS[i % KINDS.length] ?? '';
  const n = Math.floor(i / KINDS.length);
  const places = FAULT_KINDS[kind] ?? [];
  const place = places[n % places.length];
  if (place === undefined) throw new TypeError(`${kind} has no place`);
  return { kind, place, exitCode: EXIT_CODES[(n + i) % EXIT_CODES.length] ?? 0 };
}

/** Its rounds one after the other; what went wrong in them. */
async function runKind(
  rounds: readonly Round[],
  dir: string,
  engine: string,
  oracle: EngineOracle,
  begun: () => void,
): Promise<string[]> {
  const results = join(dir, 'results');
  await mkdir(results, { recursive: true });
  const proxy = await engineFaultProxy(engine);
  const env = { DOCKER_HOST: `unix://${proxy.path}` };
  const gateway = new GatewayProcess({ dir, config: config(results), env });
  const problems: string[] = [];
  try {
    await gateway.start();
    await gateway.until('/api/v1/status', (status) =>
      (status['engine'] as JsonObject)['state'] === 'ready' ? true : undefined,
    );
    for (const round of rounds) {
      begun();
      const found = await runRound({ gateway, proxy, oracle, engine, results }, round);
      problems.push(...found.map((problem) => `${round.kind} ${round.place.name}: ${problem}`));
    }
  } finally {
    await gateway.stop();
    await proxy.close();
  }
  return [...problems, ...wrongCalls(proxy).map((problem) => `${rounds[0]?.kind}: ${problem}`)];
}

async function runRound(stage: Stage, round: Round): Promise<string[]> {
  const { gateway, proxy, engine } = stage;
  const { place, exitCode } = round;
  const api = engineApi(engine);
  const strangers: string[] = [];
  const rule = place.rule({ proxy, strangers, ...api });
  const heard = gateway.output.length;
  proxy.fault = (call) => rule.decide(call);
  const job = place.job === 'pull' ? `pull-${exitCode}` : `work-${exitCode}`;
  const run = await gateway.api('POST', `/api/v1/jobs/${job}:run`, {});
  if (run.status !== 200) return [`the run was refused: ${run.text}`];
  const execution = String(run.json()['name']);
  const ended = await gateway.until(
    `/api/v1/executions/${execution}`,
    (seen) => (seen['completionTime'] ? seen : undefined),
    90_000,
  );
  const path = `/api/v1/executions/${execution}/tasks/0`;
  const attempts = (await gateway.api('GET', `${path}/attempts`)).json()['attempts'] as JsonObject[];
  const left = await untilRemoved(stage, execution);
  proxy.fault = () => ({ kind: 'pass' });
  const said = [ended, ...attempts].map((one) => String(one['message'])).join('\n');
  const problems = [
    ...(await wrongLog(stage, path, round)),
    ...wrongEnd(ended, attempts, round),
    ...wrongLives(stage, execution, attempts, round),
    ...(await wrongWords(() => `${said}\n${gateway.output.slice(heard)}`, rule, place)),
    ...left.map((name) => `the container ${name} is left`),
    ...(await wronged(strangers, api.engine)),
  ];
  return problems.length === 0 ? [] : [...problems, JSON.stringify(attempts), gateway.output.slice(heard)];
}

/** An engine may never answer who waits for an exit: nobody asks it to, whatever happens. */
function wrongCalls({ calls }: EngineFaultProxy): string[] {
  const waits = [...calls].filter((call) => call.includes('/wait')).map((call) => `it was asked ${call}`);
  return calls.has('GET /containers/json')
    ? waits
    : [...waits, 'not even the list of containers was asked for'];
}

/** Its state, its attempts and their exit codes. */
function wrongEnd(ended: JsonObject, attempts: readonly JsonObject[], { place, exitCode }: Round): string[] {
  const last = place.fails ?? (exitCode === 0 ? 'EXITED_ZERO' : 'NON_ZERO_EXIT_CODE');
  const code = place.fails === undefined ? exitCode : null;
  const expected = { reasons: [...(place.before ?? []), last], code, state: last === 'EXITED_ZERO' };
  const found = {
    reasons: attempts.map(({ reason }) => reason),
    code: attempts.at(-1)?.['exitCode'] ?? null,
    state: ended['state'] === 'SUCCEEDED',
  };
  const same = JSON.stringify(expected) === JSON.stringify(found);
  return same ? [] : [`ended as ${JSON.stringify(found)}, not as ${JSON.stringify(expected)}`];
}

/** No container runs twice, no two at once; by the engine itself, and by what the program wrote on the host. */
function wrongLives(
  { oracle, results }: Stage,
  execution: string,
  attempts: readonly JsonObject[],
  { place, exitCode }: Round,
): string[] {
  const lives = oracle.lives(execution);
  const problems = lives
    .filter(({ started, died }) => started.length !== 1 || died.length !== 1)
    .map(({ name, started, died }) => `${name} started ${started.length} and died ${died.length} times`);
  lives.forEach(({ name, started }, i) => {
    const before = lives[i - 1]?.died[0] ?? 0n;
    if ((started[0] ?? 0n) < before) problems.push(`${name} started while another still ran`);
  });
  const ran = attempts.filter(({ startTime }) => startTime !== null && startTime !== undefined).length;
  if (lives.length !== ran) problems.push(`${lives.length} containers ran in ${ran} attempts`);
  if (place.fails !== undefined) return problems;
  if (lives.at(-1)?.exitCodes[0] !== exitCode) problems.push('the engine tells another exit code');
  const lines = readFileSync(join(results, execution), 'utf8').trim().split('\n');
  const number = attempts.length - 1;
  if (lines.length !== new Set(lines).size) problems.push(`the program ran twice: ${lines.join(', ')}`);
  if (!lines.includes(`end ${number}`)) problems.push(`its last attempt did not end: ${lines.join(', ')}`);
  return problems;
}

/** Of the attempt that ran to its end: every byte, in order. */
async function wrongLog({ gateway }: Stage, path: string, { place }: Round): Promise<string[]> {
  if (place.fails !== undefined) return [];
  const expected = { stdout: STDOUT, stderr: 'an error\n' };
  const problems: string[] = [];
  for (const [stream, text] of Object.entries(expected)) {
    const log = (await gateway.api('GET', `${path}/logs?stream=${stream}`)).text;
    if (log !== text)
      problems.push(`its ${stream} has ${log.length} of ${text.length} bytes: …${log.slice(-60)}`);
  }
  return problems;
}

/** What is wrong with the end of an order is said when its deadline is over. */
async function wrongWords(said: () => string, rule: Rule, { said: expected }: FaultPlace): Promise<string[]> {
  if (rule.hits === 0) return ['the fault did not happen'];
  if (expected === undefined) return [];
  const end = Date.now() + 10_000;
  while (!expected.test(said()) && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 100));
  return expected.test(said()) ? [] : [`nothing says ${expected}`];
}

/** Somebody else's containers that are gone; the others are removed. */
async function wronged(strangers: readonly string[], engine: FaultTools['engine']): Promise<string[]> {
  const problems: string[] = [];
  for (const name of strangers) {
    const status = await engine('DELETE', `/containers/${name}?force=1`);
    if (status !== 204) problems.push(`the stranger ${name} is not as it was: ${status}`);
  }
  return problems;
}

/** Soon after its end the engine has no container of it; those that it still has. */
async function untilRemoved({ oracle }: Stage, execution: string): Promise<string[]> {
  const end = Date.now() + 30_000;
  for (;;) {
    const names = await oracle.containers(execution);
    if (names.length === 0 || Date.now() > end) return names;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function config(results: string): JsonObject {
  const job = (code: number, more: JsonObject): JsonObject => ({
    image: TEST_IMAGE,
    command: ['/bin/sh', '-c', SCRIPT],
    env: { CODE: String(code) },
    maxRetries: 0,
    timeout: '2m',
    memory: '64Mi',
    volumes: [{ bind: results, to: '/results', readOnly: false }],
    ...more,
  });
  const jobs = EXIT_CODES.flatMap((code) => [
    [`work-${code}`, job(code, {})],
    [`pull-${code}`, job(code, { pullPolicy: 'Always' })],
  ]);
  return {
    server: {
      allowedBinds: [results],
      engine: { answer: '3s', order: '5s' },
      pulls: { timeout: '20s', idle: '1s' },
    },
    jobs: Object.fromEntries(jobs) as JsonObject,
    triggers: {},
  };
}
