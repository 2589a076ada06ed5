import { describe, expect, it } from 'vitest';
import type { AttemptUsage } from '../../../src/core/usage.ts';
import { ENGINE, expectCode, keyOf } from './fixture.ts';
import type { Bench } from './fixture.ts';

const NOTHING = { attempts: 0, wallMs: 0, cpuMs: 0, peakMemoryBytes: null, logBytes: 0, pulledBytes: 0 };
const ALL_KNOWN = { wall: 0, cpu: 0, peakMemory: 0 };

export function usageContract(bench: Bench): void {
  const usage = (over: Partial<AttemptUsage> = {}): AttemptUsage => ({
    wallMs: 2000,
    cpuMs: 1500,
    peakMemoryBytes: 4096,
    measureTime: bench.clock.now(),
    pulledBytes: 0,
    ...over,
  });
  /** One attempt from claim to end, with what it used. */
  const used = async (over: Partial<AttemptUsage>, exitCode = 0) => {
    const { attempt } = await bench.running();
    const logBytes = { stdout: 10, stderr: 1 };
    const epoch = await bench.epoch();
    const params = { key: keyOf(attempt), epoch, result: bench.exit(exitCode), logBytes, usage: usage(over) };
    return bench.store.finishAttempt(params);
  };

  describe('usage', () => {
    it('stands in the attempt and is summed on its execution, retries included', async () => {
      const name = await bench.created({ taskCount: 2 });
      expect((await bench.store.getExecution(name))?.usage).toEqual({ ...NOTHING, unknown: ALL_KNOWN });
      await used({ pulledBytes: 700 }, 1);
      await used({ peakMemoryBytes: 9000 });
      const last = await used({ wallMs: 3000, peakMemoryBytes: 5000 });
      expect(last.attempt.usage).toEqual(usage({ wallMs: 3000, peakMemoryBytes: 5000 }));
      const sums = { attempts: 3, wallMs: 7000, cpuMs: 4500, peakMemoryBytes: 9000, logBytes: 33 };
      expect(last.execution.usage).toEqual({ ...sums, pulledBytes: 700, unknown: ALL_KNOWN });
      expect(await bench.store.getExecution(name)).toEqual(last.execution);
      expect((await bench.store.listAttempts(name, 0)).map((row) => row.usage?.pulledBytes)).toEqual([
        700, 0,
      ]);
    });

    it('counts what is not known instead of taking it for nothing', async () => {
      await bench.created({ taskCount: 2 });
      const first = await used({ wallMs: null, cpuMs: null, peakMemoryBytes: null });
      expect(first.execution.usage).toMatchObject({ peakMemoryBytes: null });
      const { execution } = await used({});
      expect(execution.usage).toMatchObject({
        attempts: 2,
        wallMs: 2000,
        cpuMs: 1500,
        peakMemoryBytes: 4096,
        unknown: { wall: 1, cpu: 1, peakMemory: 1 },
      });
    });

    it('is nothing of an attempt whose container never started', async () => {
      await bench.created();
      const [claim] = await bench.claim(1);
      const key = keyOf(claim?.attempt ?? { execution: '', index: 0, attempt: 0 });
      const { attempt, execution } = await bench.finish(
        key,
        bench.broken('IMAGE_NOT_FOUND', 'No such image.'),
      );
      expect(attempt.usage).toBeNull();
      expect(execution.usage).toEqual({ ...NOTHING, unknown: ALL_KNOWN });
    });

    it('is not counted twice where the end is stored again', async () => {
      await bench.created();
      const first = await used({});
      const again = await bench.finish(first.attempt, bench.exit(0));
      expect(again.execution.usage).toEqual(first.execution.usage);
    });

    it('is kept while it runs, and where the end tells nothing of it', async () => {
      const name = await bench.created();
      const { attempt } = await bench.running();
      const epoch = await bench.epoch();
      const soFar = usage({ wallMs: null, cpuMs: 800 });
      const measured = [{ key: keyOf(attempt), usage: soFar }];
      await bench.store.attemptsMeasured({ engine: ENGINE, epoch, measured });
      expect((await bench.store.listAttempts(name, 0))[0]?.usage).toEqual(soFar);
      const { execution, attempt: ended } = await bench.finish(attempt, bench.exit(0));
      expect(ended.usage).toEqual(soFar);
      expect(execution.usage).toMatchObject({ cpuMs: 800, unknown: { wall: 1, cpu: 0 } });
      await bench.store.attemptsMeasured({
        engine: ENGINE,
        epoch,
        measured: [{ key: keyOf(attempt), usage: usage() }],
      });
      expect((await bench.store.listAttempts(name, 0))[0]?.usage).toEqual(soFar);
    });

    it('is told by the owner of the engine alone', async () => {
      const epoch = await bench.epoch();
      const late = bench.store.attemptsMeasured({ engine: ENGINE, epoch: epoch - 1, measured: [] });
      await expectCode(late, 'STALE_EPOCH');
    });
  });
}
