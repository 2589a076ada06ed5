import type { Clock } from '../../core/clock.ts';
import type { Measurement } from '../../core/usage.ts';
import type { EngineClient } from './engine-client.ts';
import type { EngineStats } from './engine-shapes.ts';
import { readTime } from './exit.ts';

/**
 * An engine takes a second for an answer where it does not know `one-shot`, and more where it is busy. A look that takes
 * longer is given up without counting the engine as gone: others wait for that.
 */
const LOOK_MS = 5_000;

/** null = it does not run, or the engine did not answer in time. */
export async function containerUsage(
  client: EngineClient,
  clock: Clock,
  name: string,
): Promise<Measurement | null> {
  const late = new AbortController();
  const cancel = clock.setTimer(LOOK_MS, () => late.abort());
  try {
    const stats = await client.containerStats(name, late.signal);
    return stats === null ? null : readUsage(stats);
  } catch (error) {
    if (late.signal.aborted) return null;
    throw error;
  } finally {
    cancel();
  }
}

/** null = it does not run: an engine answers then, too, with zeros. */
export function readUsage(stats: EngineStats): Measurement | null {
  const time = readTime(stats.read);
  const cpu = stats.cpu_stats?.cpu_usage?.total_usage ?? 0;
  // Whatever has started has used some.
  if (time === null || cpu <= 0) return null;
  return { time, cpuMs: Math.round(cpu / 1e6), memoryBytes: memoryInUse(stats) };
}

/**
 * Use without the file cache that the kernel gives back at once, as `docker stats` reckons it: `total_inactive_file` of
 * cgroup v1, `inactive_file` of v2. With the cache in it (Podman tells no more, and the kernel's own high-water mark is
 * the same) every job that reads large files would seem to need all of its memory.
 */
function memoryInUse({ memory_stats: memory }: EngineStats): number | null {
  const usage = memory?.usage ?? null;
  const cache = memory?.stats?.['total_inactive_file'] ?? memory?.stats?.['inactive_file'];
  if (usage === null || usage <= 0 || typeof cache !== 'number') return null;
  return Math.max(0, usage - cache);
}
