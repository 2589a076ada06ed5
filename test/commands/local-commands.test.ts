import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { pause } from '../../src/client/client.ts';
import { SecretStore } from '../../src/secrets/secret-store.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { cli } from '../support/cli-runner.ts';
// The commands load it when they run: reading the whole product is no part of what a test has time for.
// oxlint-disable-next-line import/no-unassigned-import
import '../../src/main.ts';

let folder: string;
let config: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tappet-local-'));
  config = join(folder, 'config.json');
  await writeFile(
    config,
    JSON.stringify({ server: { port: 0 }, jobs: { hello: { image: 'x' } }, triggers: {} }),
  );
});
afterEach(() => rm(folder, { recursive: true }));

test('validate says what it found, or every mistake with its place and 5', async () => {
  expect(await cli(['validate', '-c', config])).toEqual({
    code: 0,
    out: '',
    err: `${config} is valid: 1 job, 0 triggers.\n`,
  });
  await writeFile(
    config,
    '{\n  "jobs": { "a": { "imag": "x" }, "b": { "image": "x", "taskCount": "many" } }\n}',
  );
  const bad = await cli(['validate'], { env: { TAPPET_CONFIG: config } });
  expect(bad).toMatchObject({ code: 5, out: '' });
  expect(bad.err).toMatch(/config\.json:2:\d+ jobs\.a/);
  expect(bad.err).toMatch(/config\.json:2:\d+ jobs\.b\.taskCount/);
  expect((await cli(['validate', '-c', join(folder, 'none.json')])).code).toBe(5);
});

test('validate looks for secrets in the data folder that it is told, and prints warnings', async () => {
  const dataDir = join(folder, 'elsewhere');
  const secrets = new SecretStore({ dataDir, env: {} });
  await secrets.add('api-key', Buffer.from('hush-hush'), '2026-01-01T00:00:00.000Z');
  const job = { image: 'x', env: { KEY: { secret: 'api-key' } } };
  const source = { kind: 'files', path: './later' };
  await writeFile(
    config,
    JSON.stringify({ jobs: { a: job }, triggers: { t: { source, run: { job: 'a' } } } }),
  );
  const blind = await cli(['validate', '-c', config]);
  expect(blind.code).toBe(5);
  expect(blind.err).toContain('jobs.a.env.KEY: there is no secret "api-key" in the data folder');
  const seeing = [
    await cli(['validate', '-c', config, '--data-dir', dataDir]),
    await cli(['validate', '-c', config], { env: { TAPPET_DATA_DIR: dataDir } }),
  ];
  for (const { code, err } of seeing) {
    expect(code).toBe(0);
    expect(err).toMatch(/^warning: .*config\.json:1:\d+ the folder ".*later" does not exist/);
    expect(err).toContain(`${config} is valid: 1 job, 1 trigger.`);
  }
});

test('validate --print-schema prints JSON Schema and nothing else', async () => {
  const { code, out, err } = await cli(['validate', '--print-schema']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(JSON.parse(out)).toMatchObject({ $schema: expect.stringContaining('json-schema.org') });
});

const DEAD_ENGINE = { DOCKER_HOST: 'tcp://127.0.0.1:1' };

test('doctor has a line for each check, with the fix, and exits 1 where one fails', async () => {
  const { code, out } = await cli(['doctor', '-c', config, '--data-dir', join(folder, 'data')], {
    env: DEAD_ENGINE,
  });
  expect(code).toBe(1);
  expect(out).toMatch(/^ok {4}config: /m);
  expect(out).toMatch(/^FAIL {2}gateway: .* Fix: .*tappet serve/m);
});

test('doctor says which bucket cannot be listed, and which source of the gateway waits and for what', async () => {
  const store = {
    kind: 's3',
    endpoint: 'http://127.0.0.1:1',
    accessKeyId: { env: 'KEY' },
    secretAccessKey: { env: 'KEY' },
  };
  await writeFile(
    config,
    JSON.stringify({
      server: { port: 0 },
      connections: { store },
      jobs: { a: { image: 'x' } },
      triggers: {
        up: { source: { kind: 'storage', connection: 'store', bucket: 'videos' }, run: { job: 'a' } },
      },
    }),
  );
  const env = { ...DEAD_ENGINE, KEY: 'k' };
  const dataDir = join(folder, 'data');
  const { stop } = await serving(['-c', config, '--data-dir', dataDir], env);
  const { code, out } = await cli(['doctor', '-c', config, '--data-dir', dataDir], { ...real, env });
  await stop();
  expect(code).toBe(1);
  expect(out).toMatch(/^FAIL {2}bucket store\/videos: .*127\.0\.0\.1:1.* Fix: /m);
  expect(out).toMatch(/^ok {4}gateway: /m);
  expect(out).toMatch(
    /^FAIL {2}source store \(storage\): waits: the object store "store" .*refuses the connection/m,
  );
}, 30_000);

test('doctor says what the gateway cannot write now', async () => {
  const problem = { part: 'logs', message: 'The log could not be written: no space left.', since: 0 };
  const { code, out } = await cli(['doctor', '-c', config, '--url', 'http://gateway', '--token', 't'], {
    env: DEAD_ENGINE,
    fetch: async () => Response.json({ health: { state: 'degraded', problems: [problem] } }),
  });
  expect(code).toBe(1);
  expect(out).toMatch(/^FAIL {2}logs: The log could not be written: no space left\.$/m);
});

/** A gateway of this process; gives its data folder, what it has printed, and how to end it. */
async function serving(args: readonly string[], env: NodeJS.ProcessEnv) {
  const interrupt = new AbortController();
  const written = deferred<string>();
  const printed: string[] = [];
  const served = cli(['serve', ...args], {
    env: { ...DEAD_ENGINE, ...env },
    signal: interrupt.signal,
    pause,
    err: (line) => {
      printed.push(line);
      const kept = /^Data, logs and the API token are in (.+?)(?: \(|\.$)/.exec(line)?.[1];
      if (kept !== undefined) written.resolve(kept);
    },
  });
  const stop = (): Promise<unknown> => {
    interrupt.abort();
    return served;
  };
  const dataDir = await Promise.race([written.promise, served.then(({ code }) => `ended with ${code}`)]);
  return { dataDir, printed, stop };
}
const real = { fetch: (address: string, init?: RequestInit) => fetch(address, init) };

test('a gateway is found by the data folder that its configuration sets', async () => {
  const text =
    '{ // why\n "server": { "port": 0, "dataDir": "elsewhere" }, "jobs": { "hello": { "image": "x" } } }';
  await writeFile(config, text);
  const env = { TAPPET_CONFIG: config };
  const { stop } = await serving([], env);
  expect(await cli(['jobs', 'list'], { ...real, env })).toMatchObject({
    code: 0,
    out: expect.stringContaining('hello'),
  });
  expect(await cli(['jobs', 'list'], { ...real, env: { TAPPET_CONFIG: folder } })).toMatchObject({ code: 0 });
  await stop();
  const gone = await cli(['jobs', 'list'], { ...real, env });
  expect(gone.code).toBe(3);
  expect(gone.err).toContain(`the data folder ${join(folder, 'elsewhere')}`);
});

test('serve keeps its data where TAPPET_DATA_DIR says, unless --data-dir does', async () => {
  const env = { TAPPET_DATA_DIR: join(folder, 'by-env') };
  const first = await serving(['-c', config], env);
  expect(first.dataDir).toBe(env.TAPPET_DATA_DIR);
  await first.stop();
  const second = await serving(['-c', config, '--data-dir', join(folder, 'by-flag')], env);
  expect(second.dataDir).toBe(join(folder, 'by-flag'));
  await second.stop();
});

test('a second gateway of a data folder says so, and leaves the address of the first alone', async () => {
  const log: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((line) => log.push(String(line)) > 0);
  const args = ['-c', config, '--data-dir', join(folder, 'data')];
  const address = join(folder, 'data', 'server.json');
  const first = await serving(args, {});
  const written = await readFile(address, 'utf8');
  const second = await serving(args, {});
  expect(await readFile(address, 'utf8')).toBe(written);
  await second.stop();
  const { url } = JSON.parse(written) as { url: string };
  const line = `Another gateway (pid ${process.pid}, ${url}) uses this data folder too: commands go to that one`;
  expect(second.printed.filter((one) => one.startsWith(line))).toHaveLength(1);
  expect(await readFile(address, 'utf8')).toBe(written);
  await first.stop();
  expect(first.printed.join()).not.toContain('Another gateway');
  expect(await readdir(join(folder, 'data'))).not.toContain('server.json');
  // What a person looks for when something else than expected runs: the file, not the folder it is in.
  const started = log
    .filter((one) => one.includes('"msg":"started"'))
    .map((one) => JSON.parse(one) as object);
  expect(started).toMatchObject([{ config }, { config }]);
});

test('doctor fails where DOCKER_HOST names a place without an engine', async () => {
  const env = { DOCKER_HOST: 'unix:///nowhere' };
  const { code, out } = await cli(['doctor', '-c', config, '--data-dir', join(folder, 'data')], { env });
  expect(code).toBe(1);
  expect(out).toMatch(/^FAIL {2}engine: none answers: .*\/nowhere.*\. Fix: Start Docker or Podman/m);
  expect(out).toMatch(/^ok {4}config: .*: 1 job, 0 triggers$/m);
});

test('serve answers until it is interrupted, then exits 0 and leaves no address behind', async () => {
  const interrupt = new AbortController();
  const listening = deferred<string>();
  const dataDir = join(folder, 'data');
  const served = cli(['serve', '-c', config, '--port', '0', '--data-dir', dataDir], {
    env: DEAD_ENGINE,
    signal: interrupt.signal,
    pause,
    err: (line) => {
      const url = /listens on (\S+)/.exec(line)?.[1];
      if (url !== undefined) listening.resolve(url);
    },
  });
  const url = await Promise.race([listening.promise, served.then(({ code }) => `ended with ${code}`)]);
  expect(await (await fetch(`${url}/livez`)).text()).toBe('ok\n');
  const io = { fetch: (address: string, init?: RequestInit) => fetch(address, init) };
  // The address is written after the first line is printed.
  await expect.poll(() => readdir(dataDir)).toContain('server.json');
  expect((await stat(join(dataDir, 'server.json'))).mode & 0o777).toBe(0o600);
  expect(await cli(['jobs', 'list', '--data-dir', dataDir], io)).toMatchObject({
    code: 0,
    out: expect.stringContaining('hello'),
  });
  expect((await cli(['doctor', '--data-dir', dataDir], { ...io, env: DEAD_ENGINE })).out).toMatch(
    /^ok {4}gateway/m,
  );
  interrupt.abort();
  expect((await served).code).toBe(0);
  expect(await readdir(dataDir)).not.toContain('server.json');
});

test('serve says what is wrong before it listens', async () => {
  await writeFile(config, '{ "jobs": 1 }');
  const bad = await cli(['serve', '-c', config, '--data-dir', join(folder, 'data')]);
  expect(bad.code).toBe(5);
  expect(bad.err).toContain('jobs');
  expect((await cli(['serve', '--port', '70000'])).code).toBe(2);
});
