import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ContainerSpec, EnsureOptions, Runner } from '../../src/core/runner.ts';
import type { EngineVolumes } from '../support/engine-volumes.ts';
import { failure } from '../support/fake-engine-runner.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { collect, fileOf, filesOf } from '../support/staged-files.ts';

/** What the suite of a runner lends to its part about files. */
export interface FilesHarness {
  readonly runner: Runner;
  readonly another: () => Runner;
  readonly volumes: EngineVolumes;
  readonly specOf: (script: string, more?: Partial<ContainerSpec>) => ContainerSpec;
  /** Runs it to its end and returns what it put out; the container stays. */
  readonly runToEnd: (spec: ContainerSpec, options?: EnsureOptions, by?: Runner) => Promise<string>;
}

/** A path of many parts, with a name of many bytes. */
export const LONG = `${'long-folder-name/'.repeat(12)}${'ä'.repeat(100)} end`;

/** Files into containers and out of them. */
export function filesContract(open: () => FilesHarness): void {
  describe('files into a container', () => {
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
