import { describe, expect, it } from 'vitest';
import type { ContainerSpec, Runner } from '../../src/core/runner.ts';
import { MIB } from '../../src/core/job.ts';
import type { Measurement } from '../../src/core/usage.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';

/** What the suite of a runner lends to its part about usage. */
export interface UsageHarness {
  readonly runner: Runner;
  readonly specOf: (script: string, more?: Partial<ContainerSpec>) => ContainerSpec;
}

/** Holds some 30 MB in a variable, burns cpu until it is told to end, and tells that it has begun. */
const BURNS = 'x=$(head -c 30000000 /dev/zero | tr "\\0" a); echo ready; while :; do i=$((i+1)); done';

export function usageContract(open: () => UsageHarness): void {
  describe('what a container uses', () => {
    it('is told while it runs: cpu time that grows, and memory within its limit', async () => {
      const { runner, specOf } = open();
      const spec = specOf(BURNS, { memoryBytes: 128 * MIB });
      const log = new MemoryLogWriter();
      await runner.ensure(spec, log);
      await expect.poll(() => log.text('stdout'), { timeout: 30_000 }).toBe('ready\n');
      const first = await runner.usage(spec.name);
      const grown = (one: Measurement | null) => (one?.cpuMs ?? 0) > (first?.cpuMs ?? Infinity);
      await expect.poll(async () => grown(await runner.usage(spec.name)), { timeout: 30_000 }).toBe(true);
      expect(Math.abs((first?.time ?? 0) - Date.now())).toBeLessThan(60_000);
      const { memoryBytes = null } = first ?? {};
      // An engine that cannot take the file cache off tells nothing instead of too much.
      if (memoryBytes !== null) {
        expect(memoryBytes).toBeGreaterThan(28 * MIB);
        expect(memoryBytes).toBeLessThanOrEqual(128 * MIB);
      }
      await runner.kill(spec.name);
      await expect
        .poll(async () => (await runner.inspect(spec.name)).state, { timeout: 30_000 })
        .toBe('exited');
      expect(await runner.usage(spec.name)).toBeNull();
      await runner.remove(spec.name);
      expect(await runner.usage(spec.name)).toBeNull();
    });
  });
}
