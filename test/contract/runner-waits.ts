import type { ContainerStatus, Ensured, Runner } from '../../src/core/runner.ts';
import type { MemoryLogWriter } from '../support/memory-log-writer.ts';

export type Exited = Extract<ContainerStatus, { state: 'exited' }>;

export function startedOf(ensured: Ensured): Extract<Ensured, { outcome: 'started' }> {
  if (ensured.outcome !== 'started') throw new Error(`not started but adopted: ${ensured.status.state}`);
  return ensured;
}

/** The engine reports the end some ms after the last output. */
export async function exitedStatus(runner: Runner, name: string): Promise<Exited> {
  const signal = AbortSignal.timeout(20_000);
  while (!signal.aborted) {
    const status = await runner.inspect(name);
    if (status.state === 'exited') return status;
    if (status.state === 'missing') break;
  }
  throw new Error(`container ${name} did not end`);
}

/** Settles when something has been written to `log`. */
export function firstOutput(log: MemoryLogWriter): Promise<void> {
  return new Promise((resolve) => log.written(resolve));
}
