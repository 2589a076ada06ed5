import { beforeAll, describe, expect, it } from 'vitest';
import type { ContainerSpec, EnsureOptions, Runner } from '../../src/core/runner.ts';
import { VOLUME } from '../support/engine-volumes.ts';
import type { EngineVolumes } from '../support/engine-volumes.ts';
import { failure } from '../support/fake-engine-runner.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { collect, fileOf, filesOf } from '../support/staged-files.ts';

/** What the suite of a runner lends to its part about volumes. */
export interface VolumesHarness {
  readonly runner: Runner;
  readonly volumes: EngineVolumes;
  readonly specOf: (script: string) => ContainerSpec;
  /** Runs it to its end and returns what it put out; the container stays. */
  readonly runToEnd: (spec: ContainerSpec, options: EnsureOptions) => Promise<string>;
}

/** An image may declare volumes: the engine makes one of its own for each container of it. */
export function volumesContract(open: () => VolumesHarness): void {
  describe('a volume that the image declares', () => {
    let image = '';
    let digest = '';
    let before: string[] = [];
    beforeAll(async () => {
      const { runner, volumes } = open();
      image = await volumes.image();
      ({ digest } = await runner.prepare(image));
      before = await volumes.names();
    });
    const specOf = (script: string): ContainerSpec => ({ ...open().specOf(script), image, digest });
    const added = async () => (await open().volumes.names()).filter((name) => !before.includes(name));

    it('takes files before the start, gives files after the end, and goes with its container', async () => {
      const { runner, runToEnd } = open();
      const spec = specOf(`cat ${VOLUME}/deep/in /in/beside; echo made > ${VOLUME}/out`);
      const files = () =>
        filesOf([fileOf(`${VOLUME}/deep/in`, 'within\n'), fileOf('/in/beside', 'beside\n')]);
      expect(await runToEnd(spec, { files })).toBe('within\nbeside\n');
      expect(await added()).toHaveLength(1);
      expect(await collect(runner.outputs(spec.name, VOLUME))).toEqual({
        'deep/in': 'within\n',
        out: 'made\n',
      });
      await runner.remove(spec.name);
      expect(await added()).toEqual([]);
    });

    it('goes with one that runs, and with one that was never started', async () => {
      const { runner } = open();
      const running = specOf('sleep 300');
      await runner.ensure(running, new MemoryLogWriter());
      expect(await added()).toHaveLength(1);
      await runner.remove(running.name);
      expect(await added()).toEqual([]);
      const broken = new Error('the object store is gone');
      const body = (async function* () {
        yield Buffer.from('a part');
        expect(await added()).toHaveLength(1);
        throw broken;
      })();
      const files = () => filesOf([{ to: `${VOLUME}/in`, size: 9_000_000, body }]);
      expect(await failure(runner.ensure(specOf('true'), new MemoryLogWriter(), { files }))).toBe(broken);
      expect(await added()).toEqual([]);
    });
  });
}
