import type { AttemptKey } from '../../core/execution.ts';
import { isTerminal } from '../../core/states.ts';
import type { AttemptsMeasured, FinishParams } from '../../core/store.ts';
import type { AttemptUsage } from '../../core/usage.ts';
import type { Tx } from './db.ts';
import { requireEpoch } from './engines.ts';
import type { AttemptRow, AttemptUsageColumns, ExecutionRow } from './rows.ts';

/** What attempts used, in their rows, and the sums in that of their execution. */

export function attemptsMeasured(tx: Tx, { engine, epoch, measured }: AttemptsMeasured): void {
  requireEpoch(tx, engine, epoch);
  for (const { key, usage } of measured) updateOpen(tx, engine, key, usage);
}

function updateOpen(tx: Tx, engine: string, key: AttemptKey, usage: AttemptUsage): void {
  tx.db.run(
    `UPDATE attempts SET cpu_ms = ?, peak_memory = ?, measure_time = ?, pulled_bytes = ?
     WHERE execution = (SELECT seq FROM executions WHERE name = ?) AND idx = ? AND attempt = ?
     AND engine = ? AND end_time IS NULL`,
    usage.cpuMs,
    usage.peakMemoryBytes,
    usage.measureTime,
    usage.pulledBytes,
    key.execution,
    key.index,
    key.attempt,
    engine,
  );
}

/** The columns of an attempt that ends; where nothing is told of them, what was measured while it ran stays. */
export function usageColumns(
  { usage }: Pick<FinishParams, 'usage'>,
  row: AttemptUsageColumns,
): AttemptUsageColumns {
  if (usage === null || usage === undefined) {
    const { wall_ms, cpu_ms, peak_memory, measure_time, pulled_bytes } = row;
    return { wall_ms, cpu_ms, peak_memory, measure_time, pulled_bytes };
  }
  return {
    wall_ms: usage.wallMs,
    cpu_ms: usage.cpuMs,
    peak_memory: usage.peakMemoryBytes,
    measure_time: usage.measureTime,
    pulled_bytes: usage.pulledBytes,
  };
}

/** Adds an attempt that has ended to its execution, which the caller saves. What never ran used nothing. */
export function addUsage(execution: ExecutionRow, attempt: AttemptRow): void {
  if (attempt.start_time === null || !isTerminal(attempt.state)) return;
  const { wall_ms: wall, cpu_ms: cpu, peak_memory: peak } = attempt;
  execution.used_attempts += 1;
  execution.used_wall_ms += wall ?? 0;
  execution.used_wall_unknown += wall === null ? 1 : 0;
  execution.used_cpu_ms += cpu ?? 0;
  execution.used_cpu_unknown += cpu === null ? 1 : 0;
  execution.used_peak_memory = higher(execution.used_peak_memory, peak);
  execution.used_peak_unknown += peak === null ? 1 : 0;
  execution.used_pulled_bytes += attempt.pulled_bytes ?? 0;
  execution.used_log_bytes += (attempt.log_stdout ?? 0) + (attempt.log_stderr ?? 0);
}

function higher(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.max(one, other);
}
