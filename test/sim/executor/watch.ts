import type { FakeRunner } from '../../support/fake-runner.ts';
import type { Finding } from './checkers.ts';
import { HOST, JOBS, MEMORY_RESERVE } from './scenario.ts';

/** Looks at the engine itself whenever a container may have been started: what may run at the same time. */
export class Watch {
  readonly findings: Finding[] = [];
  readonly #runner: FakeRunner;
  #calls = 0;

  constructor(runner: FakeRunner) {
    this.#runner = runner;
  }

  look(): void {
    const { calls } = this.#runner;
    const started = calls.slice(this.#calls).some(({ method }) => method === 'ensure');
    this.#calls = calls.length;
    if (!started) return;
    const running = this.#runner
      .names()
      .filter((name) => this.#runner.statusOf(name).state === 'running')
      .map((name) => this.#runner.specOf(name));
    const perTask = counted(running.map(({ key }) => `${key.execution} task ${key.index}`));
    for (const [task, count] of perTask)
      if (count > 1) this.#found('overlap', `${task} runs ${count} times at once`);
    const perExecution = counted(running.map(({ key }) => key.execution));
    for (const [execution, count] of perExecution) {
      const { parallelism = 1 } = JOBS.get(jobOf(execution))?.spec ?? {};
      if (parallelism > 0 && count > parallelism)
        this.#found('limit', `${execution} runs ${count} tasks, parallelism ${parallelism}`);
    }
    const perJob = counted([...perExecution.keys()].map(jobOf));
    for (const [job, count] of perJob) {
      const most = JOBS.get(job)?.spec.maxConcurrentExecutions ?? Infinity;
      if (count > most) this.#found('limit', `${count} executions of ${job} run, at most ${most} may`);
    }
    const memory = running.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
    if (memory > HOST.memoryBytes - MEMORY_RESERVE)
      this.#found('limit', `${memory} bytes of memory are given out`);
  }

  #found(kind: Finding['kind'], what: string): void {
    this.findings.push({ kind, what });
  }
}

export const jobOf = (execution: string): string => execution.replace(/-.*/, '');

function counted(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
