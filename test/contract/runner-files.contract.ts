import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ContainerSpec, EnsureOptions, Runner, StagedFile } from '../../src/core/runner.ts';
import type { EngineVolumes } from '../support/engine-volumes.ts';
import { failure } from '../support/fake-engine-runner.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { collect, fileOf, filesOf } from '../support/staged-files.ts';
import { volumesContract } from './runner-volumes.contract.ts';

/** What the suite of a runner lends to its part about files. */
export interface FilesHarness {
  readonly runner: Runner;
  readonly another: () => Runner;
  readonly volumes: EngineVolumes;
  readonly specOf: (script: string, more?: Partial<ContainerSpec>) => ContainerSpec;
  /** Runs it to its end and returns what it put out; the container stays. */
  readonly runToEnd: (spec: ContainerSpec, options?: EnsureOptions, by?: Runner) => Promise<string>;
}

const LONG = `${'long-folder-name/'.repeat(12)}${'ä'.repeat(100)} end`;

/** Files into containers and out of them. */
export function filesContract(open: () => FilesHarness): void {
  volumesContract(open);

  describe('files into a container', () => {
    it('arrive byte for byte, under any name, with folders, modes and owner', async () => {
      const { runner, specOf, runToEnd } = open();
      const bytes = randomBytes(3_000_001);
      const files: StagedFile[] = [
        { to: '/in/deep/er/data.bin', size: bytes.length, body: filesOfBytes(bytes, 70_000) },
        fileOf('/in/émoji 🎬 %20+"\'$.txt', 'unicode\n'),
        fileOf(`/in/${LONG}`, 'long\n'),
        fileOf('/in/empty', ''),
        fileOf('/tmp/secret', 's', 0o400),
        fileOf('/opt/run.sh', '#!/bin/sh\n', 0o755),
      ];
      const script = [
        'sha256sum < /in/deep/er/data.bin',
        'cat "$1" "$2"',
        'stat -c "%n %a %u:%g %s" /in /in/deep /in/deep/er/data.bin /in/empty /tmp /tmp/secret /opt/run.sh',
        'id -u',
        'cat /tmp/secret',
      ].join('; ');
      const args = ['x', '/in/émoji 🎬 %20+"\'$.txt', `/in/${LONG}`];
      const spec = specOf(script, { args, user: 'app' });
      const lines = (await runToEnd(spec, { files: () => filesOf(files) })).split('\n');
      expect(lines).toEqual([
        `${createHash('sha256').update(bytes).digest('hex')}  -`,
        'unicode',
        'long',
        expect.stringMatching(/^\/in 755 0:0 /),
        expect.stringMatching(/^\/in\/deep 755 0:0 /),
        `/in/deep/er/data.bin 644 0:0 ${bytes.length}`,
        '/in/empty 644 0:0 0',
        expect.stringMatching(/^\/tmp 1777 0:0 /),
        '/tmp/secret 400 0:0 1',
        '/opt/run.sh 755 0:0 10',
        '1000',
        '',
      ]);
      await runner.remove(spec.name);
    });

    it('may be the program', async () => {
      const { runner, specOf, runToEnd } = open();
      const spec = specOf('', { command: ['/in/run'] });
      const files = () => filesOf([fileOf('/in/run', '#!/bin/sh\necho from a file\n', 0o755)]);
      expect(await runToEnd(spec, { files })).toBe('from a file\n');
      await runner.remove(spec.name);
    });

    it('come again where the container was made and never started', async () => {
      const { runner, another, specOf, runToEnd } = open();
      const spec = specOf('cat /in/a /in/b; ls /in');
      const over = new Error('the process ended');
      let calls = 0;
      const mayAct = () => {
        calls++;
        if (calls === 3) throw over;
      };
      const first = () => filesOf([fileOf('/in/a', 'the first, which is longer\n'), fileOf('/in/b', 'b\n')]);
      expect(await failure(runner.ensure(spec, new MemoryLogWriter(), { files: first, mayAct }))).toBe(over);
      expect(await runner.inspect(spec.name)).toEqual({ state: 'created' });
      const again = () => filesOf([fileOf('/in/a', 'second\n'), fileOf('/in/b', 'b\n')]);
      const output = await runToEnd(spec, { files: again }, another());
      expect(output).toBe('second\nb\na\nb\n');
      const adopted = await runner.ensure(spec, new MemoryLogWriter(), {
        files: () => {
          throw new Error('the files of what has ended were asked for');
        },
      });
      expect(adopted.outcome).toBe('adopted');
      await runner.remove(spec.name);
    });

    it('whose source breaks off leave no container', async () => {
      const { runner, specOf } = open();
      const spec = specOf('true');
      const broken = new Error('the object store is gone');
      const body = (async function* () {
        for (let i = 0; i < 20; i++) yield randomBytes(100_000);
        throw broken;
      })();
      const files = () => filesOf([fileOf('/in/a', 'a'), { to: '/in/b', size: 9_000_000, body }]);
      expect(await failure(runner.ensure(spec, new MemoryLogWriter(), { files }))).toBe(broken);
      expect(await runner.inspect(spec.name)).toEqual({ state: 'missing' });
    });

    it.each([
      ['/etc', 'a folder of the image'],
      ['/etc/passwd/x', 'below a file'],
      [`/in/${'x'.repeat(300)}`, 'a name that is too long'],
    ])('are refused at %s: %s', async (to) => {
      const { runner, specOf } = open();
      const spec = specOf('true');
      const files = () => filesOf([fileOf(to, 'x')]);
      expect(await failure(runner.ensure(spec, new MemoryLogWriter(), { files }))).toMatchObject({
        code: 'CONTAINER_START_FAILED',
        message: expect.stringMatching(
          /^A file could not be put into a container of the image ".*": .*[a-z]/,
        ),
      });
      expect(await runner.inspect(spec.name)).toEqual({ state: 'missing' });
    });
  });

  describe('files out of a container', () => {
    const LEAVE = [
      'mkdir -p "/out/sub/é mpty" "/out/$(dirname "$1")"; cd /out',
      'echo one > a; printf "" > zero; echo two > "sub/é 🎬"; echo long > "$1"',
      'ln a hard; ln -s a soft; ln -s /etc etc; ln -s /etc/passwd sub/passwd; mkfifo fifo; mkfifo sub/fifo',
      'ln -s /out /outlink; ln -s a /out/sub/lastlink; yes 0123456789abcde | head -c 5000000 > sub/big',
    ].join('; ');

    it('are the files of a folder and below it, and no links out, pipes or empty folders', async () => {
      const { runner, another, specOf, runToEnd } = open();
      const spec = specOf(LEAVE, { args: ['x', LONG] });
      await runToEnd(spec);
      const found = await collect(another().outputs(spec.name, '/out'));
      const { 'sub/big': big = '', ...rest } = found;
      expect(rest).toEqual({ a: 'one\n', hard: 'one\n', zero: '', 'sub/é 🎬': 'two\n', [LONG]: 'long\n' });
      expect(big).toBe('0123456789abcde\n'.repeat(312_500));
      expect(await collect(runner.outputs(spec.name, '/out/'))).toEqual(found);
      const sub = Object.keys(await collect(runner.outputs(spec.name, '/out/sub')));
      expect(sub.sort()).toEqual(['big', 'é 🎬']);
      await runner.remove(spec.name);
    });

    it('may be one file; nothing where nothing is, or a link, or a pipe', async () => {
      const { runner, specOf, runToEnd } = open();
      const spec = specOf(LEAVE, { args: ['x', LONG] });
      await runToEnd(spec);
      const at = (path: string) => collect(runner.outputs(spec.name, path));
      expect(await at('/out/a')).toEqual({ '': 'one\n' });
      expect(await at('/out/hard')).toEqual({ '': 'one\n' });
      expect(await at('/out/zero')).toEqual({ '': '' });
      expect(await at(`/out/${LONG}`)).toEqual({ '': 'long\n' });
      for (const path of ['/nope', '/out/a/x', '/out/sub/é mpty', '/out/soft', '/outlink', '/out/fifo'])
        expect(await at(path), path).toEqual({});
      await runner.remove(spec.name);
      expect(await failure(at('/out'))).toMatchObject({ code: 'ENGINE_REFUSED' });
    });

    it('are refused where a name is not UTF-8', async () => {
      const { runner, specOf, runToEnd } = open();
      const spec = specOf('mkdir /out; echo x > "/out/$(printf "bad\\377")"');
      await runToEnd(spec);
      expect(await failure(collect(runner.outputs(spec.name, '/out')))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(/not UTF-8/),
      });
      await runner.remove(spec.name);
    });

    it('that nobody reads to the end do not hold back what comes next', async () => {
      const { runner, specOf, runToEnd } = open();
      const spec = specOf('mkdir /out; head -c 30000000 /dev/zero > /out/a; echo b > /out/b');
      await runToEnd(spec);
      for await (const { body } of runner.outputs(spec.name, '/out')) {
        for await (const _ of body) break;
        break;
      }
      const controller = new AbortController();
      const cancelled = new Error('cancelled');
      const reading = (async () => {
        for await (const { body } of runner.outputs(spec.name, '/out', controller.signal))
          for await (const _ of body) controller.abort(cancelled);
      })();
      expect(await failure(reading)).toBe(cancelled);
      expect((await runner.inspect(spec.name)).state).toBe('exited');
      expect(await collect(runner.outputs(spec.name, '/out/b'))).toEqual({ '': 'b\n' });
      await runner.remove(spec.name);
    });
  });
}

async function* filesOfBytes(bytes: Buffer, step: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}
