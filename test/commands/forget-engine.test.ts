import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { JOB_DEFAULTS } from '../../src/core/job.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { SystemIds } from '../../src/lib/system-ids.ts';
import { startGateway } from '../../src/main.ts';
import { SqliteStore } from '../../src/stores/sqlite/store.ts';
import { cli } from '../support/cli-runner.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** What a gateway leaves that died together with its engine: a task that runs there. */
async function leftOn(engine: string, dataDir: string): Promise<void> {
  await mkdir(dataDir, { mode: 0o700 });
  const ids = new SystemIds();
  const store = new SqliteStore({ path: join(dataDir, 'tappet.db'), clock: new SystemClock(), ids });
  await store.open();
  await store.createExecution({
    uid: ids.uid(),
    name: 'work-1',
    job: 'work',
    jobGeneration: 1,
    spec: { ...JOB_DEFAULTS, image: 'x', env: {}, binds: [], maxRetries: 3 },
    context: {},
    cause: { kind: 'api', principal: 'ann' },
    labels: {},
  });
  const lease = await store.acquireEngine(engine, 'before', 3_600_000);
  const epoch = lease.held ? lease.epoch : 0;
  const { claims } = await store.claimAttempts({ engine, epoch, limit: 1, maxParallelism: 1 });
  const key = { execution: 'work-1', index: 0, attempt: 0 };
  await store.attemptStarted({ key, epoch, startTime: Date.now(), imageDigest: null });
  expect(claims).toHaveLength(1);
  await store.close();
}

test('engines forget, of a real gateway: what was left there ends, and nothing of it is tried again', async () => {
  const folder = tempFolder();
  const dataDir = join(folder, 'data');
  const gone = join(folder, 'gone.sock');
  await leftOn(gone, dataDir);
  const configPath = join(folder, 'tappet.json');
  await writeFile(configPath, JSON.stringify({ jobs: { work: { image: 'x' } } }));
  const env = { DOCKER_HOST: `unix://${join(folder, 'none.sock')}` };
  const gateway = await startGateway({ configPath, port: 0, dataDir, env, print: () => undefined });
  try {
    const run = (...args: string[]) =>
      cli(args, { env: { TAPPET_DATA_DIR: dataDir }, fetch: (url, init) => fetch(url, init) });
    expect((await run('engines', 'list')).out).toContain(`${gone}  1\n`);
    expect(await run('engines', 'forget', gone)).toMatchObject({ code: 2 });
    expect(await run('engines', 'forget', gone, '--yes')).toMatchObject({
      code: 0,
      err: '1 attempt has ended as CONTAINER_LOST. When you know that nothing runs there any more, run again what was not done: tappet executions rerun NAME\n',
    });
    const ended = JSON.parse((await run('executions', 'get', 'work-1', '-o', 'json')).out) as object;
    expect(ended).toMatchObject({
      state: 'FAILED',
      reason: 'CONTAINER_LOST',
      retriedCount: 0,
      message: expect.stringContaining(`its engine, ${gone}, was given up for good by admin`) as unknown,
    });
    expect(await run('engines', 'forget', gone, '--yes')).toMatchObject({ code: 4 });
  } finally {
    await gateway.stop();
  }
}, 30_000);
