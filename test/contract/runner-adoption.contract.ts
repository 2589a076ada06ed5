import { describe, expect, it } from 'vitest';
import type { ContainerSpec, Runner } from '../../src/core/runner.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { exitedStatus, startedOf } from './runner-waits.ts';

/** What the suite of a runner lends to its part about names that are taken. */
export interface AdoptionHarness {
  readonly runner: Runner;
  readonly another: () => Runner;
  readonly otherImage: () => Promise<string>;
  readonly specOf: (script: string, more?: Partial<ContainerSpec>) => ContainerSpec;
}

export function adoptionContract(open: () => AdoptionHarness): void {
  describe('a container that is there already', () => {
    it('is adopted while it runs and after its end, by another owner too', async () => {
      const { runner, another, specOf } = open();
      const spec = specOf('echo once; sleep 300');
      const { captured } = startedOf(await runner.ensure(spec, new MemoryLogWriter()));
      const again = await another().ensure({ ...spec, epoch: 5 }, new MemoryLogWriter());
      expect(again).toMatchObject({ outcome: 'adopted', status: { state: 'running' } });
      await runner.kill(spec.name);
      expect(await captured).toBe(true);
      await exitedStatus(runner, spec.name);
      const ended = await another().ensure(spec, new MemoryLogWriter());
      expect(ended).toMatchObject({
        outcome: 'adopted',
        status: { state: 'exited', exit: { exitCode: 137 } },
      });
      await runner.remove(spec.name);
    });

    it('is refused where a label differs: it is a stranger’s', async () => {
      const { runner, specOf } = open();
      const spec = specOf('sleep 300');
      await runner.ensure(spec, new MemoryLogWriter());
      const strangers = [
        { ...spec, job: 'other' },
        { ...spec, key: { ...spec.key, execution: 'other' } },
        { ...spec, key: { ...spec.key, index: 3 } },
        { ...spec, key: { ...spec.key, attempt: 0 } },
      ];
      for (const stranger of strangers) {
        const refused = runner.ensure(stranger, new MemoryLogWriter());
        await expect(refused).rejects.toMatchObject({ code: 'CONTAINER_CONFLICT' });
      }
      expect((await runner.inspect(spec.name)).state).toBe('running');
      await runner.remove(spec.name);
    });

    it('is refused where its image is another, though all labels match: it goes on, and nothing runs twice', async () => {
      const { runner, another, otherImage, specOf } = open();
      const image = await otherImage();
      const { digest } = await runner.prepare(image);
      const spec = specOf('sleep 300');
      expect(digest).not.toBe(spec.digest);
      await runner.ensure(spec, new MemoryLogWriter());
      const refused = another().ensure({ ...spec, image, digest }, new MemoryLogWriter());
      await expect(refused).rejects.toMatchObject({ code: 'CONTAINER_CONFLICT' });
      expect(await runner.inspect(spec.name)).toMatchObject({ state: 'running', imageDigest: spec.digest });
      await runner.remove(spec.name);
    });
  });
}
