import type { FinishParams } from '../../../src/core/store.ts';
import type { FakeRunner } from '../../support/fake-runner.ts';
import type { StagingStore } from '../../support/staging-fakes.ts';
import type { Finding } from './checkers.ts';
import { HOST, INPUT_TEXT, JOBS, MEMORY_RESERVE, SECRETS, outputPlace, outputText } from './scenario.ts';

/** Looks at the engine itself whenever a container may have been started: what may run at the same time. */
export class Watch {
  readonly findings: Finding[] = [];
  readonly #runner: FakeRunner;
  readonly #objects: StagingStore;
  readonly #seen = new Set<string>();
  #calls = 0;

  constructor(runner: FakeRunner, objects: StagingStore) {
    this.#runner = runner;
    this.#objects = objects;
  }

  /** The end of an attempt is about to be stored: outputs are where they belong before anybody hears of success. */
  finishing({ key, result }: FinishParams): void {
    if (result.state !== 'SUCCEEDED' || jobOf(key.execution) !== 'staged') return;
    const end = `-${key.execution}-t${key.index}-a${key.attempt}`;
    const name = [...this.#runner.starts.keys()].find((one) => one.endsWith(end)) ?? `?${end}`;
    const stored = this.#objects.text(outputPlace(name));
    if (stored !== outputText(name))
      this.#found('output', `${name} is to be SUCCEEDED, and its output is ${JSON.stringify(stored)}`);
  }

  /** What a container was given before it was started. */
  #checkInputs(name: string): void {
    const given = (this.#runner.received.get(name) ?? []).map(
      ({ to, content }) => `${to} ${content.toString()}`,
    );
    const wanted = [`/in/data.txt ${INPUT_TEXT}`, `/in/secret ${SECRETS.INPUT}`];
    if (given.join('\n') !== wanted.join('\n'))
      this.#found('input', `${name} was started with ${JSON.stringify(given)}`);
    const token = this.#runner.specOf(name).env['TOKEN'];
    if (token !== SECRETS.TOKEN) this.#found('input', `${name} was started with TOKEN=${token}`);
  }

  look(): void {
    const { calls } = this.#runner;
    const started = calls.slice(this.#calls).some(({ method }) => method === 'ensure');
    this.#calls = calls.length;
    // A late one is counted as a call long before it starts anything.
    if (!started && this.#runner.starts.size === this.#seen.size) return;
    for (const name of this.#runner.starts.keys()) {
      if (this.#seen.has(name)) continue;
      this.#seen.add(name);
      if (this.#runner.statusOf(name).state !== 'missing' && this.#runner.specOf(name).job === 'staged')
        this.#checkInputs(name);
    }
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
