import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { eventually, untilNoContainer } from '../support/chaos-rounds.ts';
import { engineRequest, importImage, pushImage, TEST_IMAGE, testEngine } from '../support/engine.ts';
import { CREATE, INSPECT, onceStarted, once, START } from '../support/engine-fault-rules.ts';
import type { Rule } from '../support/engine-fault-rules.ts';
import { engineHost } from '../support/engine-host.ts';
import { engineFaultProxy } from '../support/fault-proxy-engine.ts';
import type { EngineCall, EngineFaultProxy } from '../support/fault-proxy-engine.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import type { FaultProxy } from '../support/fault-proxy.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { testRegistry } from '../support/registry.ts';
import { slowly } from '../support/slowly.ts';
import type { TestRegistry } from '../support/registry.ts';

/**
 * Deadlines are settings, and other tests shorten them. Here nothing is set: each kind is waited for once, all of them at
 * the same time.
 */
const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-defaults-')));
const results = join(dir, 'results');
const SECOND = 1_000;
/** Of the longest one, which is 2 minutes, with all that comes before. */
const TEST_MS = 170 * SECOND;
const POLLED_MS = 160 * SECOND;
/** How late the gateway may be, on a machine that does all of this at once. */
const LATE_MS = 3 * SECOND;
/** How late this process, which stands between the gateway and what hangs, may see the call that does. */
const SEEN_LATE_MS = SECOND;

const job = (script: string, more: JsonObject = {}): JsonObject => ({
  image: TEST_IMAGE,
  command: [
    '/bin/sh',
    '-c',
    `r=/results/$CLOUD_RUN_EXECUTION\n${script}\necho up > $r\nwhile :; do sleep 0.05; done`,
  ],
  memory: '16Mi',
  maxRetries: 0,
  volumes: [{ bind: results, to: '/results', readOnly: false }],
  ...more,
});
const jobs = (far: string): JsonObject => ({
  slow: job("trap 'sleep 29; exit 7' TERM"),
  'slow-late': job("trap 'sleep 29; exit 7' TERM", { timeout: '2s' }),
  deaf: job("trap '' TERM"),
  short: job('exit 4'),
  far: { image: far, command: ['true'], maxRetries: 0 },
});
const hook = (answer: JsonObject): JsonObject => ({
  source: { kind: 'webhook', auth: 'none', ...answer },
  run: { job: 'deaf' },
});

describe.concurrent('where nothing is set', () => {
  let engine: EngineEndpoint & { kind: 'unix' };
  let registry: TestRegistry;
  let line: FaultProxy;
  let far = '';
  let gateway: GatewayProcess;
  let config: JsonObject;

  beforeAll(async () => {
    mkdirSync(results);
    const found = await testEngine();
    if (found.kind !== 'unix') throw new TypeError('the proxy stands in front of a socket');
    engine = found;
    const host = await engineHost();
    registry = await testRegistry();
    line = await startFaultProxy(`http://${registry.host}`);
    const published = `${registry.host}/team/far:v1`;
    await importImage(engine, published, { 'etc/mark': randomBytes(300_000).toString('base64') });
    await pushImage(engine, published);
    await engineRequest(engine, 'DELETE', `/v1.41/images/${published}?force=1`);
    far = `${new URL(line.url).host}/team/far:v1`;
    config = {
      server: { allowedBinds: [results] },
      jobs: jobs(far),
      triggers: {
        waits: hook({ answer: { wait: '2m' } }),
        'does-not': hook({}),
      },
    };
    gateway = new GatewayProcess({ dir: join(dir, 'main'), config, env: { DOCKER_HOST: host } });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    await line.close();
    await registry.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const run = async (name: string, on = gateway): Promise<string> => {
    const answer = await on.api('POST', `/api/v1/jobs/${name}:run`, {});
    expect(answer.status, answer.text).toBe(200);
    return String(answer.json()['name']);
  };
  const cancel = async (execution: string, on = gateway): Promise<void> => {
    expect((await on.api('POST', `/api/v1/executions/${execution}:cancel`)).status).toBe(200);
  };
  const up = (execution: string): Promise<true> =>
    eventually(
      `${execution} is up`,
      () => (existsSync(join(results, execution)) ? true : undefined),
      30 * SECOND,
    );
  const ended = (execution: string, on = gateway): Promise<JsonObject> =>
    on.until(
      `/api/v1/executions/${execution}`,
      (one) => (one['completionTime'] === null ? undefined : one),
      POLLED_MS,
    );
  const attemptsOf = async (execution: string, on = gateway): Promise<JsonObject[]> => {
    const path = `/api/v1/executions/${execution}/tasks/0/attempts`;
    return (await on.api('GET', path)).json()['attempts'] as JsonObject[];
  };
  const first = async (execution: string): Promise<JsonObject> => (await attemptsOf(execution))[0] ?? {};
  const ms = (one: JsonObject, from: string, to: string): number =>
    Date.parse(String(one[to])) - Date.parse(String(one[from]));

  it('a pull without progress is given up after 2 minutes', { timeout: TEST_MS }, async () => {
    let stalled = 0;
    line.fault = ({ url }) => {
      if (!url.includes('/blobs/')) return 'pass';
      stalled ||= Date.now();
      return { stall: 10_000 };
    };
    const execution = await run('far');
    const attempt = await gateway.until(
      `/api/v1/executions/${execution}/tasks/0/attempts`,
      ({ attempts }) => (attempts as JsonObject[]).find(({ endTime }) => endTime !== null),
      POLLED_MS,
    );
    expect(attempt).toMatchObject({ state: 'FAILED', reason: 'IMAGE_PULL_FAILED' });
    expect(attempt['message']).toMatch(/there was no progress for 2m \(server\.pulls\)/);
    const took = Date.parse(String(attempt['endTime'])) - stalled;
    expect(took).toBeGreaterThanOrEqual(120 * SECOND - SEEN_LATE_MS);
    expect(took).toBeLessThanOrEqual(120 * SECOND + LATE_MS);
    await cancel(execution);
    expect(await ended(execution)).toMatchObject({ state: 'CANCELLED' });
  });

  it(
    'a caller who waits is answered after the time of the trigger, 2 minutes, and at once where none is set',
    { timeout: TEST_MS },
    async () => {
      const call = async (name: string): Promise<{ took: number; status: number; body: JsonObject }> => {
        const begun = Date.now();
        const answer = await fetch(`${gateway.url}/hooks/${name}`, { method: 'POST' });
        const body = (await answer.json()) as JsonObject;
        return { took: Date.now() - begun, status: answer.status, body };
      };
      const [waited, atOnce] = await Promise.all([call('waits'), call('does-not')]);
      expect(atOnce).toMatchObject({ status: 202, body: { decided: true } });
      expect(atOnce.body).not.toHaveProperty('results');
      expect(atOnce.took).toBeLessThan(LATE_MS);
      expect(waited).toMatchObject({ status: 202, body: { results: [{ state: 'RUNNING', ended: false }] } });
      expect(waited.took).toBeGreaterThanOrEqual(120 * SECOND - 100);
      expect(waited.took).toBeLessThanOrEqual(120 * SECOND + LATE_MS);
      for (const { body } of [waited, atOnce]) await cancel(String((body['executions'] as string[])[0]));
    },
  );

  interface Hang {
    readonly what: string;
    readonly rule: () => Rule;
    readonly seconds: number;
    readonly says: RegExp;
  }
  /** A call to the engine that hangs, of a gateway and on a way to the engine of its own, as it takes the engine for gone. */
  const hanging = async ({
    rule: makeRule,
    says,
  }: Hang): Promise<{ waited: number; attempts: JsonObject[]; end: JsonObject }> => {
    const proxy: EngineFaultProxy = await engineFaultProxy(engine.path);
    const own = mkdtempSync(join(dir, 'hang-'));
    const other = new GatewayProcess({ dir: own, config, env: { DOCKER_HOST: `unix://${proxy.path}` } });
    try {
      await other.start();
      const rule = makeRule();
      let hung = 0;
      proxy.fault = async (call: EngineCall) => {
        const fault = await rule.decide(call);
        if (fault.kind === 'hang') hung = Date.now();
        return fault;
      };
      const execution = await run('short', other);
      const end = await ended(execution, other);
      await untilNoContainer(engine, execution);
      const attempts = await attemptsOf(execution, other);
      const said = other.output.split('\n').find((text) => says.test(text));
      if (said === undefined) throw new Error(`nothing says ${says}:\n${other.output}`);
      const { time } = JSON.parse(said) as { time: string };
      return { waited: Date.parse(time) - hung, attempts, end };
    } finally {
      await other.stop();
      await proxy.close();
    }
  };

  it.each<Hang>([
    {
      what: 'to create a container, 60 s',
      rule: once(CREATE, { kind: 'hang', engine: true }),
      seconds: 60,
      says: /did not answer within 60 s \(POST [^ ]*\/containers\/create\)/,
    },
    {
      what: 'to start one, 60 s',
      rule: once(START, { kind: 'hang', engine: true }),
      seconds: 60,
      says: /did not answer within 60 s \(POST [^ ]*\/start\)/,
    },
    {
      what: 'to tell of one, 10 s',
      rule: onceStarted(INSPECT, { kind: 'hang', engine: false }),
      seconds: 10,
      says: /did not answer within 10 s \(GET [^ ]*\/json\)/,
    },
  ])('an engine that does not answer counts as gone: asked $what', { timeout: TEST_MS }, async (hang) => {
    const { waited, attempts, end } = await hanging(hang);
    expect(waited).toBeGreaterThanOrEqual(hang.seconds * SECOND - SEEN_LATE_MS);
    expect(waited).toBeLessThanOrEqual(hang.seconds * SECOND + LATE_MS);
    // Whatever it did not say has been done once, and the end is the container's own.
    expect(end).toMatchObject({ state: 'FAILED', reason: 'NON_ZERO_EXIT_CODE' });
    expect(attempts).toMatchObject([{ exitCode: 4 }]);
  });

  it.each([
    ['ends by itself 29 s after SIGTERM has its exit code', 'slow', 29, 7],
    ['ignores SIGTERM is killed after 30 s', 'deaf', 30, 137],
  ] as const)('what is cancelled and %s', { timeout: TEST_MS }, async (_, name, seconds, exitCode) => {
    const execution = await run(name);
    await up(execution);
    await cancel(execution);
    const end = await ended(execution);
    const attempt = await first(execution);
    expect(end).toMatchObject({ state: 'CANCELLED' });
    expect(attempt).toMatchObject({ reason: 'CANCELLED', exitCode });
    const took = ms({ ...end, endTime: attempt['endTime'] ?? null }, 'cancelRequestTime', 'endTime');
    expect(took).toBeGreaterThanOrEqual(seconds * SECOND - 100);
    expect(took).toBeLessThanOrEqual((seconds + 1) * SECOND);
  });

  it(
    'what runs into its timeout and ends 29 s after SIGTERM has its exit code too',
    { timeout: TEST_MS },
    async () => {
      const execution = await run('slow-late');
      expect(await ended(execution)).toMatchObject({ state: 'FAILED', reason: 'TIMED_OUT' });
      const attempt = await first(execution);
      expect(attempt).toMatchObject({ exitCode: 7, stopReason: 'timeout' });
      expect(ms(attempt, 'deadline', 'endTime')).toBeGreaterThanOrEqual(29 * SECOND - 100);
      expect(ms(attempt, 'deadline', 'endTime')).toBeLessThan(30 * SECOND);
    },
  );

  it(
    'a caller who does not come to the end of its headers is cut off after 10 s, of its body after 30 s',
    { timeout: TEST_MS },
    async () => {
      const port = Number(new URL(gateway.url).port);
      const head = 'POST /hooks/does-not HTTP/1.1\r\nHost: x\r\n';
      const [headers, body] = await Promise.all([
        slowly(port, head, 'x-a: b\r\n'),
        slowly(port, `${head}Content-Length: 1000\r\n\r\n`, 'x'),
      ]);
      expect(headers.answer).toMatch(/^HTTP\/1\.1 408 /);
      expect(headers.seconds).toBeGreaterThan(9);
      expect(headers.seconds).toBeLessThan(14);
      expect(body.answer).toMatch(/^HTTP\/1\.1 408 /);
      expect(body.seconds).toBeGreaterThan(29);
      expect(body.seconds).toBeLessThan(35);
    },
  );
});
