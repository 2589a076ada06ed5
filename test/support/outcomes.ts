import { expect } from 'vitest';
import type { AttemptReason, HaltReason } from '../../src/core/execution.ts';
import { MIB } from '../../src/core/job.ts';
import type { JobSpec } from '../../src/core/job.ts';
import { storeError } from '../../src/objects/failures.ts';
import { pullFailure } from '../../src/runners/docker/pull-failure.ts';
import { startFailure } from '../../src/runners/docker/start-failure.ts';
import { createSecrets } from '../../src/secrets/secret-reader.ts';
import { scriptSpec } from './container-specs.ts';
import type { Rig } from './executor-rig.ts';

/** Makes an attempt 0 of task 0 end so, and gives its execution: real code but for the engine and the store. */
type Maker = (rig: Rig) => Promise<string>;

const PLACE = { connection: 'media', address: 'http://127.0.0.1:9000', bucket: 'videos' };
const REFUSED_CONNECTION = Object.assign(new Error(''), { code: 'ECONNREFUSED' });
const FORBIDDEN = Object.assign(new Error('Access Denied.'), {
  name: 'AccessDenied',
  $metadata: { httpStatusCode: 403 },
});
const CONTAINER = scriptSpec({ instance: 'i', image: 'team/report:2', digest: 'd' }, '');
const PULL = { image: 'team/report:2', host: 'registry.example.com', withAccount: false };

/** Whatever is tried again fails again. */
const LASTING = { times: 1000 };

/** It ends by itself, after as many ms. */
const exits =
  (exit: object, spec: Partial<JobSpec> = {}, exitAt = 10): Maker =>
  async (rig) => {
    rig.runner.script = () => ({ exitAt, exit });
    await rig.started();
    return rig.create({ maxRetries: 0, ...spec });
  };
const notPulled =
  (words: string, status = 0): Maker =>
  async (rig) => {
    rig.runner.fail('prepare', pullFailure(PULL, words, status), LASTING);
    await rig.started();
    return rig.create();
  };
const notStarted =
  (status: number, words: string): Maker =>
  async (rig) => {
    rig.runner.fail('ensure', startFailure(CONTAINER, status, words), LASTING);
    await rig.started();
    return rig.create();
  };
/** Something happens to it while it runs. */
const running =
  (then: (rig: Rig, name: string) => unknown): Maker =>
  async (rig) => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    await then(rig, name);
    return name;
  };
/** The container of its newest attempt. */
const newest = async (rig: Rig, name: string): Promise<string> =>
  rig.container(name, 0, (await rig.attempt(name)).attempt);

const loses = async (rig: Rig, name: string): Promise<void> => rig.runner.vanish(await newest(rig, name));
const restarts = async (rig: Rig, name: string): Promise<void> => {
  rig.runner.goDown();
  await rig.clock.advance(3000);
  rig.runner.exit(await newest(rig, name), { exitCode: 137 });
  rig.runner.goUp();
};
const staged =
  (spec: Partial<JobSpec>, fault?: { method: 'get' | 'put'; error: unknown }): Maker =>
  async (rig) => {
    rig.runner.script = () => ({ exitAt: 10, leaves: { '/out/film.mp4': 'film' } });
    const { store } = rig.objects;
    if (fault !== undefined) store.fail(fault.method, storeError(fault.error, PLACE), 1000);
    await rig.started();
    return rig.create({ maxRetries: 0, ...spec });
  };
const INPUT = { inputs: [{ from: 's3://store/videos/in/talk.mov', to: '/in/video' }] };
const OUTPUT = { outputs: [{ from: '/out/film.mp4', to: 's3://store/videos/done/film.mp4' }] };

const MAKERS: Readonly<Record<AttemptReason, Maker>> = {
  EXITED_ZERO: exits({ exitCode: 0 }),
  NON_ZERO_EXIT_CODE: exits({ exitCode: 127 }),
  SIGNALLED: exits({ signal: 'SIGSEGV' }),
  OOM_KILLED: exits({ exitCode: 137, oomKilled: true }, { memoryBytes: 64 * MIB }),
  OOM_SUSPECTED: (rig) => {
    rig.runner.measure = () => ({ time: rig.clock.now(), cpuMs: 1, memoryBytes: 63 * MIB });
    return exits({ exitCode: 137 }, { memoryBytes: 64 * MIB }, 2500)(rig);
  },
  TIMED_OUT: async (rig) => {
    rig.runner.script = () => ({ onTerm: null });
    await rig.started();
    return rig.create({ maxRetries: 0, timeoutMs: 60_000 });
  },
  CANCELLED: running((rig, name) => rig.store.cancelExecution(name, 'ann')),
  IMAGE_NOT_FOUND: notPulled('manifest for team/report:2 not found: manifest unknown'),
  IMAGE_UNAUTHORIZED: notPulled('unauthorized: authentication required (401)'),
  IMAGE_PULL_FAILED: notPulled('dial tcp: lookup registry.example.com: no such host'),
  IMAGE_RATE_LIMITED: notPulled('toomanyrequests: You have reached your pull rate limit'),
  IMAGE_DISK_FULL: notPulled('write /var/lib/docker/tmp/GetImageBlob1: no space left on device'),
  CONTAINER_START_FAILED: notStarted(400, 'exec: "/bin/report": stat /bin/report: no such file or directory'),
  CONTAINER_LOST: running(loses),
  ENGINE_RESTARTED: running(restarts),
  ENGINE_REFUSED: notStarted(500, 'driver failed programming external connectivity'),
  RENDER_FAILED: async (rig) => {
    await rig.started();
    return rig.create({ args: ['${{ event.data.files[task.index] }}'] }, { event: { data: { files: [] } } });
  },
  SECRET_UNREADABLE: async (rig) => {
    await rig.started({ secrets: createSecrets({ env: {}, baseDir: '/' }) });
    return rig.create({ env: { PASSWORD: { env: 'DB_PASSWORD' } } });
  },
  INPUT_UNAVAILABLE: staged(INPUT),
  INPUT_FAILED: staged(INPUT, { method: 'get', error: REFUSED_CONNECTION }),
  OUTPUT_MISSING: staged({ outputs: [{ from: '/out/none.mp4', to: 's3://store/videos/done/none.mp4' }] }),
  OUTPUT_REFUSED: staged(OUTPUT, { method: 'put', error: FORBIDDEN }),
  OUTPUT_FAILED: async (rig) => {
    const name = await staged(OUTPUT, { method: 'put', error: REFUSED_CONNECTION })(rig);
    // It waits for its store for a quarter of an hour.
    for (let i = 0; i < 20; i++) await rig.clock.advance(60_000);
    return name;
  },
};

/** The message of the first attempt, which has ended for this reason. */
export async function messageOf(rig: Rig, reason: AttemptReason): Promise<string> {
  const name = await MAKERS[reason](rig);
  let message = '';
  await rig.until(async () => {
    const attempt = (await rig.store.listAttempts(name, 0))[0];
    if (typeof attempt?.endTime !== 'number') return false;
    expect(attempt.reason, attempt.message ?? '').toBe(reason);
    message = attempt.message ?? '';
    return true;
  }, 5000);
  return message;
}

/** What has to happen to each further attempt as well, so that the task fails for good. */
const AGAIN: Partial<Record<AttemptReason, (rig: Rig, name: string) => Promise<void>>> = {
  CONTAINER_LOST: loses,
  ENGINE_RESTARTED: restarts,
};

/** Its name, once its only task has failed for this reason and is not tried again. */
export async function failedExecution(rig: Rig, reason: AttemptReason): Promise<string> {
  const name = await MAKERS[reason](rig);
  const again = AGAIN[reason];
  for (let passed = 0; passed < 200; passed++) {
    if (typeof (await rig.store.getExecution(name))?.completionTime === 'number') return name;
    if (again !== undefined && (await rig.attempt(name)).state === 'RUNNING') await again(rig, name);
    await rig.clock.advance(30_000);
  }
  throw new Error(`${name} goes on for ever:\n${rig.logLines.join('\n')}`);
}

/** Makes an execution that stops itself; its executor runs already. */
export const HALTED: Readonly<Record<HaltReason, Maker>> = {
  TOO_MANY_FAILED: async (rig) => {
    rig.runner.script = () => ({ exitAt: 10, exit: { exitCode: 3 } });
    return rig.create({ taskCount: 5, maxRetries: 0, maxFailedTasks: 1 });
  },
  DEADLINE_EXCEEDED: async (rig) => {
    const name = await rig.create({ taskCount: 2, deadlineMs: 60_000 });
    await rig.running(name);
    await rig.clock.advance(60_001);
    await rig.store.haltOverdue(1);
    return name;
  },
  NEVER_FITS: async (rig) => rig.create({ memoryBytes: 80 * 1024 ** 3 }),
};
