import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerSpec, Hint, Runner } from '../../src/core/runner.ts';
import { MIB } from '../../src/core/job.ts';
import { scriptSpec } from '../support/container-specs.ts';
import type { EngineVolumes } from '../support/engine-volumes.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { adoptionContract } from './runner-adoption.contract.ts';
import { fileSystemContract } from './runner-file-system.contract.ts';
import { filesContract } from './runner-files.contract.ts';
import { linesContract } from './runner-lines.contract.ts';
import { volumesContract } from './runner-volumes.contract.ts';
import type { FilesHarness } from './runner-files.contract.ts';
import { exitedStatus, firstOutput, startedOf } from './runner-waits.ts';
import type { Exited } from './runner-waits.ts';
import { usageContract } from './runner-usage.contract.ts';

export interface RunnerHarness {
  readonly instance: string;
  /** An image that holds busybox's commands. */
  readonly image: string;
  /** The name of one that the engine has besides. */
  otherImage(): Promise<string>;
  readonly runner: Runner;
  readonly volumes: EngineVolumes;
  /** What a restarted gateway would use: the same instance and engine, nothing remembered. */
  another(): Runner;
  close(): Promise<void>;
}

/** What an engine may not be able to do: the tests that need it are skipped, and another shows that it is so. */
export type Lack = 'memory-kill-report';

/** What every runner promises (see `core/runner.ts`), shown against the real thing. */
export function runnerContract(
  name: string,
  open: () => Promise<RunnerHarness>,
  lacks: readonly Lack[] = [],
): void {
  basicContract(name, open, lacks, [volumesContract, fileSystemContract, linesContract]);
}

/** The same of an engine in memory: without a file system in its containers, and without a log that keeps lines back. */
export function memoryRunnerContract(
  name: string,
  open: () => Promise<Omit<RunnerHarness, 'volumes'>>,
): void {
  const none = (): Promise<never> => Promise.reject(new Error('it has no volumes'));
  const volumes = { image: none, names: none };
  basicContract(name, async () => ({ ...(await open()), volumes }), [], []);
}

function basicContract(
  name: string,
  open: () => Promise<RunnerHarness>,
  lacks: readonly Lack[],
  parts: readonly ((open: () => FilesHarness) => void)[],
): void {
  describe(`runner: ${name}`, { timeout: 60_000 }, () => {
    let harness: RunnerHarness;
    let digest = '';
    beforeAll(async () => {
      harness = await open();
      ({ digest } = await harness.runner.prepare(harness.image));
    }, 60_000);
    afterAll(() => harness.close());

    const specOf = (script: string, more: Partial<ContainerSpec> = {}) =>
      scriptSpec({ instance: harness.instance, image: harness.image, digest }, script, more);

    async function start(
      spec: ContainerSpec,
      log = new MemoryLogWriter(),
    ): Promise<{ captured: Promise<boolean> }> {
      return startedOf(await harness.runner.ensure(spec, log));
    }

    /** Runs it to its end and removes it. */
    async function run(
      spec: ContainerSpec,
    ): Promise<{ log: MemoryLogWriter; status: Exited; captured: boolean }> {
      const log = new MemoryLogWriter();
      const { captured } = startedOf(await harness.runner.ensure(spec, log));
      const whole = await captured;
      const status = await exitedStatus(harness.runner, spec.name);
      await harness.runner.remove(spec.name);
      return { log, status, captured: whole };
    }

    describe('a container that runs to its end', () => {
      it('has its output byte for byte, the unterminated last line too, and its exit', async () => {
        const before = Date.now();
        const { log, status, captured } = await run(specOf('echo one; echo two >&2; printf "three"'));
        expect(captured).toBe(true);
        expect(log.text('stdout')).toBe('one\nthree');
        expect(log.text('stderr')).toBe('two\n');
        expect(status.exit).toEqual({ exitCode: 0, signal: null, oomKilled: false, error: null });
        expect(status.startTime).toBeGreaterThan(before - 2000);
        expect(status.endTime).toBeGreaterThanOrEqual(status.startTime);
        expect(status.endTime).toBeLessThan(Date.now() + 2000);
      });

      it.each([7, 127, 143])('keeps the exit code %i, which is no signal', async (code) => {
        const { status } = await run(specOf(`exit ${code}`));
        expect(status.exit).toMatchObject({ exitCode: code, signal: null });
      });

      it('gets its environment, arguments, working folder and user', async () => {
        const spec = specOf('echo "$CLOUD_RUN_TASK_INDEX|$LINES|$1|$2"; pwd; id -u', {
          args: ['zero', 'a b', '$HOME'],
          env: { CLOUD_RUN_TASK_INDEX: '2', LINES: 'x=y\nz' },
          workingDir: '/work/here',
          user: 'app',
        });
        const { log } = await run(spec);
        expect(log.text('stdout')).toBe('2|x=y\nz|a b|$HOME\n/work/here\n1000\n');
      });

      it('names the program in args alone', async () => {
        const { command: _, ...rest } = specOf('');
        const { log } = await run({ ...rest, args: ['echo', 'from args'] });
        expect(log.text('stdout')).toBe('from args\n');
      });

      const lacksReport = lacks.includes('memory-kill-report');
      const needs = lacksReport ? ' [needs memory-kill-report]' : '';

      it.skipIf(lacksReport)(`says so when the memory limit killed it${needs}`, async () => {
        const { status } = await run(specOf('exec tail /dev/zero', { memoryBytes: 16 * MIB }));
        expect(status.exit).toMatchObject({ exitCode: 137, signal: 'SIGKILL', oomKilled: true });
      });

      it.skipIf(lacksReport)(`has succeeded when the memory limit killed a child only${needs}`, async () => {
        const { status } = await run(specOf('tail /dev/zero; exit 0', { memoryBytes: 16 * MIB }));
        expect(status.exit).toMatchObject({ exitCode: 0, signal: null, oomKilled: true });
      });

      // A skip that is no longer true fails here.
      it('tells that the memory limit killed it, unless it is known not to', async () => {
        const { status } = await run(specOf('exec tail /dev/zero', { memoryBytes: 16 * MIB }));
        expect(status.exit).toMatchObject({ exitCode: 137, oomKilled: !lacksReport });
      });
    });

    adoptionContract(() => ({
      runner: harness.runner,
      another: () => harness.another(),
      otherImage: () => harness.otherImage(),
      specOf,
    }));

    describe('a container that cannot be started', () => {
      it.each([
        ['a path that is not there', ['/nope'], /"\/nope" is not in the image/],
        ['a name that is not in PATH', ['nope', '-x'], /"nope" is not in the image/],
        ['a file that is no program', ['/etc/passwd'], /may be executed/],
        ['a folder', ['/etc'], /may be executed/],
      ])('says so and leaves nothing behind: %s', async (_, command, message) => {
        const spec = specOf('', { command });
        const refused = harness.runner.ensure(spec, new MemoryLogWriter());
        await expect(refused).rejects.toMatchObject({
          code: 'CONTAINER_START_FAILED',
          message: expect.stringMatching(message),
        });
        expect(await harness.runner.inspect(spec.name)).toEqual({ state: 'missing' });
      });

      it('finds a program by the PATH of the job', async () => {
        const found = await run(specOf('', { command: ['echo', 'hi'], env: { PATH: '/nowhere:/bin' } }));
        expect(found.log.text('stdout')).toBe('hi\n');
        const spec = specOf('', { command: ['echo', 'hi'], env: { PATH: '/nowhere' } });
        const refused = harness.runner.ensure(spec, new MemoryLogWriter());
        await expect(refused).rejects.toMatchObject({ code: 'CONTAINER_START_FAILED' });
      });

      it('says that the image is gone', async () => {
        const spec = specOf('true', { digest: `sha256:${'0'.repeat(64)}` });
        const refused = harness.runner.ensure(spec, new MemoryLogWriter());
        await expect(refused).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' });
      });
    });

    describe('stop, kill, remove, list', () => {
      it('lets a program end itself on SIGTERM', async () => {
        const spec = specOf('trap "echo bye; exit 9" TERM; echo ready; while :; do sleep 0.05; done');
        const log = new MemoryLogWriter();
        const ready = firstOutput(log);
        const { captured } = await start(spec, log);
        await ready;
        await harness.runner.stop(spec.name, 20_000);
        expect(await captured).toBe(true);
        expect((await exitedStatus(harness.runner, spec.name)).exit.exitCode).toBe(9);
        expect(log.text('stdout')).toBe('ready\nbye\n');
        await harness.runner.remove(spec.name);
      });

      it('ends at once what does not handle SIGTERM', async () => {
        const spec = specOf('exec sleep 300');
        const { captured } = await start(spec);
        const before = Date.now();
        await harness.runner.stop(spec.name, 30_000);
        await captured;
        expect(Date.now() - before).toBeLessThan(8000);
        expect((await exitedStatus(harness.runner, spec.name)).exit.exitCode).toBe(143);
        await harness.runner.remove(spec.name);
      });

      it('kills after the grace what ignores SIGTERM, and returns before', async () => {
        const spec = specOf('trap "" TERM; echo ready; while :; do sleep 0.05; done');
        const log = new MemoryLogWriter();
        const ready = firstOutput(log);
        const { captured } = await start(spec, log);
        await ready;
        const before = Date.now();
        await harness.runner.stop(spec.name, 2000);
        expect(Date.now() - before).toBeLessThan(1500);
        expect((await harness.runner.inspect(spec.name)).state).toBe('running');
        await captured;
        const { endTime, exit } = await exitedStatus(harness.runner, spec.name);
        expect(exit.exitCode).toBe(137);
        expect(endTime - before).toBeGreaterThan(1500);
        await harness.runner.remove(spec.name);
      });

      it('takes every order for what is not there or has ended', async () => {
        const gone = specOf('').name;
        await harness.runner.stop(gone, 1000);
        await harness.runner.kill(gone);
        await harness.runner.remove(gone);
        expect(await harness.runner.inspect(gone)).toEqual({ state: 'missing' });
        const spec = specOf('true');
        await (
          await start(spec)
        ).captured;
        await exitedStatus(harness.runner, spec.name);
        await harness.runner.stop(spec.name, 1000);
        await harness.runner.kill(spec.name);
        await harness.runner.remove(spec.name);
        await harness.runner.remove(spec.name);
      });

      it('lists its own containers, and removes one that runs', async () => {
        const spec = specOf('sleep 300');
        await start(spec);
        const listed = (await harness.another().list()).filter((one) => one.name === spec.name);
        expect(listed).toEqual([
          { name: spec.name, key: spec.key, epoch: 4, running: true, createTime: expect.any(Number) },
        ]);
        await harness.runner.remove(spec.name);
        expect((await harness.runner.list()).map((one) => one.name)).not.toContain(spec.name);
      });

      it('hints at what happens to its containers', async () => {
        const controller = new AbortController();
        const spec = specOf('true');
        const seen: Hint[] = [];
        for await (const hint of harness.runner.hints(controller.signal)) {
          seen.push(hint);
          if (hint.kind === 'reconnected') await (await start(spec)).captured;
          else if ((await harness.runner.inspect(spec.name)).state === 'exited') controller.abort();
        }
        expect(seen[0]).toEqual({ kind: 'reconnected' });
        expect(seen).toContainEqual({ kind: 'container', name: spec.name });
        await harness.runner.remove(spec.name);
      });
    });

    const filesHarness = (): FilesHarness => ({
      runner: harness.runner,
      another: () => harness.another(),
      volumes: harness.volumes,
      specOf,
      runToEnd: async (spec, options = {}, by = harness.runner) => {
        const log = new MemoryLogWriter();
        await startedOf(await by.ensure(spec, log, options)).captured;
        await exitedStatus(by, spec.name);
        return log.text('stdout');
      },
    });
    for (const contract of [filesContract, ...parts]) contract(filesHarness);

    usageContract(() => ({ runner: harness.runner, specOf }));

    describe('the log', () => {
      const HALF = 10_000_000;
      // 100 bytes a line, each line another; the last one has no end.
      const lines = (word: string) =>
        `seq 1 ${HALF / 100} | sed "s/$/ ${'x'.repeat(80)} ${word}/" | head -c ${HALF - 3}; printf end`;
      const noisy = `f() { ${lines('out')}; }; g() { ${lines('err')}; }; f & g >&2 & wait; f | sha256sum > /dev/null`;
      const sums = `( ${lines('out')} ) | sha256sum; ( ${lines('err')} ) | sha256sum`;
      let expected: { stdout: string; stderr: string };
      beforeAll(async () => {
        const { log } = await run(specOf(sums));
        const [stdout = '', stderr = ''] = log
          .text('stdout')
          .split('\n')
          .map((line) => line.slice(0, 64));
        expected = { stdout, stderr };
      }, 60_000);

      it('is complete: 20 MB over both streams, unterminated last lines', async () => {
        const { log, captured } = await run(specOf(noisy));
        expect(captured).toBe(true);
        expect({ stdout: log.sha256('stdout'), stderr: log.sha256('stderr') }).toEqual(expected);
      });

      it('goes on byte for byte where the attached stream was lost', async () => {
        const spec = specOf(noisy);
        const log = new MemoryLogWriter();
        let left = 3_000_000;
        log.before = (_, data) => {
          left -= data.length;
          if (left < 0) throw new Error('the disk is full');
        };
        expect(await (await start(spec, log)).captured).toBe(false);
        const taken = log.bytes('stdout') + log.bytes('stderr');
        expect(taken).toBeGreaterThan(0);
        expect(taken).toBeLessThan(3_000_001);
        log.before = () => {};
        await harness.another().logs(spec.name, log, new AbortController().signal);
        expect({ stdout: log.sha256('stdout'), stderr: log.sha256('stderr') }).toEqual(expected);
        expect((await harness.runner.inspect(spec.name)).state).toBe('exited');
        await harness.runner.remove(spec.name);
      });

      it('of a running container is followed to its end', async () => {
        const spec = specOf(
          'trap "echo b; echo c >&2; printf d; exit 0" TERM; echo a; while :; do sleep 0.05; done',
        );
        await start(spec);
        const log = new MemoryLogWriter();
        const done = harness.another().logs(spec.name, log, new AbortController().signal);
        await firstOutput(log);
        await harness.runner.stop(spec.name, 10_000);
        await done;
        expect(log.text('stdout')).toBe('a\nb\nd');
        expect(log.text('stderr')).toBe('c\n');
        expect((await harness.runner.inspect(spec.name)).state).toBe('exited');
        await harness.runner.remove(spec.name);
      });

      it('stops being followed with its signal', async () => {
        const spec = specOf('echo a; sleep 300');
        await start(spec);
        const log = new MemoryLogWriter();
        const controller = new AbortController();
        const done = harness.runner.logs(spec.name, log, controller.signal);
        await firstOutput(log);
        controller.abort();
        await done;
        expect(log.text('stdout')).toBe('a\n');
        await harness.runner.remove(spec.name);
      });

      it('is empty where there is no container', async () => {
        const log = new MemoryLogWriter();
        const gone = specOf('').name;
        await harness.runner.logs(gone, log, new AbortController().signal);
        expect(log.cursor()).toMatchObject({ stdout: { bytes: 0 }, stderr: { bytes: 0 } });
      });
    });

    it('knows its machine', async () => {
      const found = await harness.runner.capabilities();
      expect(found.cpus).toBeGreaterThan(0);
      expect(found.memoryBytes).toBeGreaterThan(16 * MIB);
      expect(found.description).toMatch(/\d+\.\d+.* at /);
    });
  });
}
