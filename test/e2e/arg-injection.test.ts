import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { HOSTILE_VALUES } from '../support/hostile-values.ts';

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-args-')));
const results = join(dir, 'results');

/** More than anybody thinks of; the same ones each time. */
const RANDOM_VALUES = fc.sample(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }).filter((text) => !text.includes('\0')),
  { seed: 13, numRuns: 200 },
);
const VALUES = [...HOSTILE_VALUES, ...RANDOM_VALUES];
const BEFORE = '--input=';
/** What stands before a value leaves it less room. */
const SHORTER = VALUES.map((value) => value.slice(0, 32 * 1024 - BEFORE.length));

/** So many of one value: 1 MiB together where it has some 26,000 bytes. */
const MANY = 40;
const field = (i: number): string => `v${i}`;
const dataOf = (values: readonly Json[]): JsonObject =>
  Object.fromEntries(values.map((value, i) => [field(i), value]));
/** What a program is given as it was given, by the kernel's own record: nothing that prints it can change it. */
const PRINT = 'cat /proc/$$/cmdline > /results/$CLOUD_RUN_EXECUTION; [ -e /tmp/owned ] && echo owned; exit 0';
const hook = (args: readonly string[]): JsonObject => ({
  source: { kind: 'webhook', auth: 'none' },
  run: { job: 'print', args: [...args] },
});
const CONFIG: JsonObject = {
  server: { allowedBinds: [results] },
  jobs: {
    print: {
      image: TEST_IMAGE,
      command: ['/bin/sh', '-c', PRINT, 'sh'],
      timeout: '1m',
      memory: '64Mi',
      maxRetries: 0,
      volumes: [{ bind: results, to: '/results', readOnly: false }],
    },
  },
  triggers: {
    all: hook(VALUES.map((_, i) => `\${{ event.data.${field(i)} }}`)),
    within: hook(SHORTER.map((_, i) => `${BEFORE}\${{ event.data.${field(i)} }}`)),
    // The executor renders these, for each attempt.
    task: hook(SHORTER.map((_, i) => `\${{ task.index }}\${{ event.data.${field(i)} }}`)),
    many: hook(Array.from({ length: MANY }, () => '${{ event.data.v0 }}')),
    one: hook(['${{ event.data.v0 }}', 'the next']),
    own: hook(["${{ task.index == 0 ? event.data.v0 : 'x' }}"]),
    longer: hook(['${{ event.data.v0 }}', '${{ task.index }}${{ event.data.v0 }}']),
  },
};

describe('the arguments of a container', () => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    mkdirSync(results);
    gateway = new GatewayProcess({ dir, config: CONFIG, env: { DOCKER_HOST: await engineHost() } });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const call = async (trigger: string, data: JsonObject): Promise<JsonObject> => {
    const response = await fetch(`${gateway.url}/hooks/${trigger}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(data),
    });
    expect(response.status).toBe(202);
    return (await response.json()) as JsonObject;
  };
  const started = async (trigger: string, data: JsonObject): Promise<string> => {
    const { event } = await call(trigger, data);
    const [decision] = await decisions(event);
    expect(decision).toMatchObject({ outcome: 'matched' });
    return String(decision?.['execution']);
  };
  const decisions = (event: unknown): Promise<JsonObject[]> =>
    gateway.until(`/api/v1/events/${String(event)}`, (found) => {
      const made = found['decisions'] as JsonObject[];
      return made.length === 0 ? undefined : made;
    });

  /** Of a program that ended well. */
  async function given(execution: string): Promise<string[]> {
    const end = await gateway.until(
      `/api/v1/executions/${execution}`,
      (one) => (one['completionTime'] === null ? undefined : one),
      50_000,
    );
    expect(end).toMatchObject({ state: 'SUCCEEDED' });
    expect((await gateway.api('GET', `/api/v1/executions/${execution}/tasks/0/logs`)).text).toBe('');
    const words = readFileSync(join(results, execution), 'utf8').split('\0');
    expect(words.slice(0, 4)).toEqual(['/bin/sh', '-c', PRINT, 'sh']);
    expect(words.at(-1)).toBe('');
    return words.slice(4, -1);
  }

  it(`are ${HOSTILE_VALUES.length} values of an event, and 200 by chance: one each, byte for byte`, async () => {
    expect(HOSTILE_VALUES.length).toBeGreaterThanOrEqual(30);
    const executions = [await started('all', dataOf(VALUES)), await started('within', dataOf(SHORTER))];
    const [all = '', within = ''] = executions;
    expect(await given(all)).toEqual(VALUES);
    expect(await given(within)).toEqual(SHORTER.map((value) => `${BEFORE}${value}`));
  });

  it('are the same where each task has its own', async () => {
    const execution = await started('task', dataOf(SHORTER));
    expect(await given(execution)).toEqual(SHORTER.map((value) => `0${value}`));
  });

  it('are the same where a caller of the API gives them', async () => {
    const body = { overrides: { args: VALUES } };
    const answer = await gateway.api('POST', '/api/v1/jobs/print:run', body);
    expect(answer.status, answer.text).toBe(200);
    expect(await given(String(answer.json()['name']))).toEqual(VALUES);
  });

  it.each<[Json, string]>([
    [7, '7'],
    [-0.5, '-0.5'],
    [true, 'true'],
    [['a b', '; exit 7'], '["a b","; exit 7"]'],
    [{ 'a b': '$(exit 7)' }, '{"a b":"$(exit 7)"}'],
    [[], '[]'],
    // Half a character has no bytes of its own.
    ['half \ud83d of one', 'half \ufffd of one'],
  ])('are one each also of what is no text: %j', async (value, argument) => {
    expect(await given(await started('one', { v0: value }))).toEqual([argument, 'the next']);
  });

  it.each<[string, Json, RegExp]>([
    ['NUL', 'before\0after', /NUL character, which no program can be given/],
    ['a byte too many', 'x'.repeat(32 * 1024 + 1), /32,769 bytes long, more than 32,768/],
    ['too many bytes in few letters', 'é'.repeat(16 * 1024 + 1), /32,770 bytes long/],
    ['null', null, /null, which is no text/],
  ])('are refused with their place: %s', async (_, value, says) => {
    const before = await gateway.list('/api/v1/executions', 'executions');
    for (const trigger of ['one', 'own']) {
      const [decision] = await decisions((await call(trigger, { v0: value }))['event']);
      expect(decision).toMatchObject({ outcome: 'failed', execution: null });
      const reason = String(decision?.['reason']);
      expect(reason).toContain('run.args[0]: ');
      expect(reason).toMatch(says);
    }
    const answer = await gateway.api('POST', '/api/v1/jobs/print:run', { overrides: { args: ['x', value] } });
    expect(answer.status).toBe(400);
    expect(answer.json()).toMatchObject({ errors: [{ path: 'overrides.args[1]' }] });
    expect(await gateway.list('/api/v1/executions', 'executions')).toEqual(before);
  });

  it('are refused where only the text around a value makes them too long', async () => {
    const [decision] = await decisions((await call('longer', { v0: 'x'.repeat(32 * 1024) }))['event']);
    expect(decision).toMatchObject({ outcome: 'failed', execution: null });
    expect(decision?.['reason']).toMatch(/args\[1\].*32,769 bytes long/);
  });

  it('run up to 1 MiB of them together with the command, and are refused beyond: the kernel would not begin the program', async () => {
    const fit = 'x'.repeat((1024 * 1024 - 400) / MANY - 10);
    expect(await given(await started('many', { v0: fit }))).toEqual(Array.from({ length: MANY }, () => fit));
    const [decision] = await decisions((await call('many', { v0: `${fit}${fit.slice(0, 100)}` }))['event']);
    expect(decision).toMatchObject({ outcome: 'failed', execution: null });
    expect(decision?.['reason']).toMatch(
      /^run\.args: the arguments take 1,05\d,\d{3} bytes, more than 1,048,576/,
    );
    // So many that their number is what counts.
    const args = Array.from({ length: 120_000 }, () => '');
    const answer = await gateway.api('POST', '/api/v1/jobs/print:run', { overrides: { args } });
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(/the arguments take 1,080,\d{3} bytes/);
  });
});
