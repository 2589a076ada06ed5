import type { AttemptKey, Execution } from '../core/execution.ts';
import { OUTPUT_PATH } from '../core/staging.ts';

/** The whole environment of a container: the job's (rendered), and Cloud Run's five names, which nothing overrides. */
export function taskEnvironment(
  execution: Pick<Execution, 'name' | 'job' | 'spec'>,
  key: AttemptKey,
  env: Readonly<Record<string, string>>,
): Record<string, string> {
  const ours = {
    CLOUD_RUN_JOB: execution.job,
    CLOUD_RUN_EXECUTION: execution.name,
    CLOUD_RUN_TASK_INDEX: String(key.index),
    CLOUD_RUN_TASK_ATTEMPT: String(key.attempt),
    CLOUD_RUN_TASK_COUNT: String(execution.spec.taskCount),
  };
  const output = execution.spec.output === undefined ? {} : { TAPPET_OUTPUT: OUTPUT_PATH };
  return Object.assign({}, env, ours, output);
}
