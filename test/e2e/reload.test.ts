import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/** The configuration of a running gateway is changed under it. No engine is needed: what starts waits. */
const folder = mkdtempSync(join(tmpdir(), 'tappet-e2e-reload-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let gateway: GatewayProcess;
afterEach(() => gateway.stop());

const NO_ENGINE = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };
let rounds = 0;

/** A folder for a gateway whose configuration this test writes. */
function place(more: Partial<ConstructorParameters<typeof GatewayProcess>[0]> = {}): string {
  const dir = join(folder, `${++rounds}`);
  mkdirSync(dir);
  gateway = new GatewayProcess({ dir, ...more, env: { ...NO_ENGINE, ...more.env } });
  return join(dir, 'tappet.json');
}

const hook = (more: object = {}, auth: unknown = 'none') => ({
  source: { kind: 'webhook', auth },
  run: { job: 'work' },
  ...more,
});
const configOf = (triggers: object, more: object = {}): string =>
  JSON.stringify({ jobs: { work: { image: 'none' } }, triggers, ...more }, null, 2);

/** Whole at once, as a careful editor does. */
function put(path: string, text: string): void {
  writeFileSync(`${path}.part`, text);
  renameSync(`${path}.part`, path);
}

const call = (trigger: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${gateway.url}/hooks/${trigger}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{}',
  });

async function outcome(trigger: string): Promise<unknown> {
  const answer = (await (await call(trigger)).json()) as { decisions?: { outcome: string }[] };
  return answer.decisions?.[0]?.outcome;
}

/** Resolves with `config` of the status once `check` is content with it. */
const config = (check: (config: JsonObject) => boolean): Promise<JsonObject> =>
  gateway.until('/api/v1/status', (status) => {
    const found = status['config'] as JsonObject;
    return check(found) ? found : undefined;
  });
const etag = async (): Promise<unknown> => (await config(() => true))['etag'];

describe('a file', () => {
  it('that is changed counts without a restart; with a mistake the last good one goes on', async () => {
    const path = place();
    put(path, configOf({ call: hook(), old: hook() }));
    await gateway.start();
    expect(await outcome('call')).toBe('matched');
    const first = await etag();

    put(path, configOf({ call: hook({ when: 'event.data == 7' }), fresh: hook() }));
    const good = await config((now) => now['etag'] !== first);
    expect(good).toMatchObject({ state: 'applied', waitingForRestart: [] });
    expect(await outcome('call')).toBe('filtered');
    expect(await outcome('fresh')).toBe('matched');
    expect((await call('old')).status).toBe(401);
    expect(gateway.output).toContain('triggers added: fresh; changed: call; removed: old');

    put(path, configOf({ call: hook(), broken: { source: { kind: 'webhok' } } }));
    const bad = await config(({ state }) => state === 'invalid');
    expect(bad).toMatchObject({ etag: good['etag'], time: good['time'] });
    expect(bad['message']).toMatch(/tappet\.json:\d+:\d+ triggers\.broken\.source/);
    expect(gateway.output).toMatch(/configuration not applied: \S*tappet\.json:\d+:\d+ triggers\.broken/);
    expect(await outcome('call')).toBe('filtered');
    expect(await outcome('fresh')).toBe('matched');

    put(path, configOf({ call: hook() }));
    await config((now) => now['state'] === 'applied' && now['etag'] !== good['etag']);
    expect(await outcome('call')).toBe('matched');
  });

  it('is read at once on SIGHUP, and with it the secrets of callers', async () => {
    const path = place();
    const secret = join(path, '..', 'token');
    writeFileSync(secret, 'first', { mode: 0o600 });
    put(path, configOf({ call: hook({}, { bearer: { token: { file: './token' } } }) }));
    await gateway.start();
    const status = async (token: string) => (await call('call', { authorization: `Bearer ${token}` })).status;
    expect([await status('first'), await status('second')]).toEqual([202, 401]);
    writeFileSync(secret, 'second');
    gateway.signal('SIGHUP');
    await expect.poll(() => status('second'), { timeout: 10_000 }).toBe(202);
    expect(await status('first')).toBe(401);
    expect(gateway.output).toContain('configuration read again: nothing in it has changed');
  });
});

describe('SIGHUP', () => {
  it('of a terminal that was closed ends the gateway, as it ends whatever runs there', async () => {
    const path = place();
    put(path, configOf({}));
    const closer = join(import.meta.dirname, '../support/close-terminal.py');
    const serve = [join(import.meta.dirname, '../../dist/src/cli.js'), 'serve', '-c', path, '--port', '0'];
    const child = spawn('python3', [closer, 'works once', process.execPath, ...serve], {
      env: { ...process.env, ...NO_ENGINE },
      stdio: 'ignore',
    });
    // As a shell tells it: killed by signal 1.
    expect(await once(child, 'exit')).toEqual([256 - 1, null]);
  });
});

describe('a folder', () => {
  it('may get a file and lose one', async () => {
    const path = place();
    mkdirSync(path);
    put(join(path, 'jobs.json'), JSON.stringify({ jobs: { work: { image: 'none' } } }));
    put(join(path, 'a.json'), JSON.stringify({ triggers: { a: hook() } }));
    await gateway.start();
    put(
      join(path, 'b.yaml'),
      'triggers:\n  b: { source: { kind: webhook, auth: none }, run: { job: work } }\n',
    );
    await expect.poll(async () => (await call('b')).status, { timeout: 10_000 }).toBe(202);
    rmSync(join(path, 'a.json'));
    await expect.poll(async () => (await call('a')).status, { timeout: 10_000 }).toBe(401);
    expect((await call('b')).status).toBe(202);
    // The job is gone, and the trigger still names it.
    rmSync(join(path, 'jobs.json'));
    expect((await config(({ state }) => state === 'invalid'))['message']).toMatch(
      /b\.yaml:2:\d+ triggers\.b/,
    );
    expect(await outcome('b')).toBe('matched');
  });
});

describe('while calls come in', () => {
  const REWRITES = 50;
  const CALLERS = 8;

  it(`none is lost or refused in ${REWRITES} rewrites, half-written and wrong ones among them`, async () => {
    const path = place({ env: { ONE: 'secret', TWO: 'secret' } });
    // The same to a caller, and yet another source each time.
    const version = (n: number): string =>
      configOf({
        call: hook({}, { bearer: { token: { env: n % 2 === 0 ? 'ONE' : 'TWO' } } }),
        ...(n % 3 === 0 ? { other: hook() } : {}),
        last: hook({ when: `event.data != ${n}` }),
      });
    put(path, version(0));
    await gateway.start();
    let ended = false;
    const answers: { status: number; event: unknown }[] = [];
    const callers = Array.from({ length: CALLERS }, async () => {
      while (!ended) {
        const response = await call('call', { authorization: 'Bearer secret' });
        const { event } = (await response.json()) as { event?: unknown };
        answers.push({ status: response.status, event });
      }
    });
    for (let n = 1; n <= REWRITES; n++) {
      const text = version(n);
      if (n % 5 === 0) put(path, text.replace('"webhook"', '"webhok"'));
      else {
        writeFileSync(path, text.slice(0, text.length / 2));
        if (n % 4 === 0) gateway.signal('SIGHUP');
        await pause(20);
        writeFileSync(path, text);
      }
      gateway.signal('SIGHUP');
      await pause(40);
    }
    put(path, version(REWRITES + 1));
    const { waitingForRestart } = await config(
      (now) => now['state'] === 'applied' && gateway.output.includes('configuration not applied'),
    );
    expect(waitingForRestart).toEqual([]);
    await gateway.until('/api/v1/triggers/last', (trigger) =>
      trigger['when'] === `event.data != ${REWRITES + 1}` ? true : undefined,
    );
    ended = true;
    await Promise.all(callers);

    const applied = gateway.output.split('configuration applied').length - 1;
    expect(applied).toBeGreaterThan(REWRITES / 4);
    expect(answers.length).toBeGreaterThan(REWRITES);
    expect(answers.filter(({ status }) => status !== 202)).toEqual([]);
    const known = new Set<unknown>();
    let token = '';
    do {
      const page = (
        await gateway.api('GET', `/api/v1/events?trigger=call&pageSize=1000&pageToken=${token}`)
      ).json();
      for (const { uid, decideTime } of page['events'] as JsonObject[]) {
        expect(decideTime).not.toBeNull();
        known.add(uid);
      }
      token = String(page['nextPageToken']);
    } while (token !== '');
    expect(answers.filter(({ event }) => !known.has(event))).toEqual([]);
    expect(known.size).toBe(answers.length);
  });
});

describe('kill -9 in the middle of a reload', () => {
  it.each(['before', 'after'])('%s the store is told: the next start has the new one', async (side) => {
    const program = join(import.meta.dirname, '../support/crash-gateway.mjs');
    const record = join(folder, `${side}.place`);
    const crash = `store.syncDefinitions:${side}:2`;
    const path = place({ program, env: { CRASH: crash, CRASH_RECORD: record } });
    put(path, configOf({ call: hook() }));
    await gateway.start();
    put(path, configOf({ call: hook({ when: 'true' }), fresh: hook() }));
    expect(await gateway.ended()).toEqual({ code: null, signal: 'SIGKILL' });
    expect(readFileSync(record, 'utf8')).toBe(crash);
    await gateway.start({ CRASH: '' });
    expect(await outcome('fresh')).toBe('matched');
    const { generation } = (await gateway.api('GET', '/api/v1/triggers/call')).json();
    expect(generation).toBe(2);
  });
});
