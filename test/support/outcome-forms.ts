import type { AttemptReason, HaltReason } from '../../src/core/execution.ts';

/** Why an execution can have failed. */
export type FailReason = Exclude<AttemptReason, 'EXITED_ZERO' | 'CANCELLED'> | HaltReason;

const REGISTRY = 'the registry \\S+';
const STORE = 'the object store ".+" \\(.+\\) ';

/**
 * How the sentence of each begins, or is. The example of each in docs/outcomes.md is of its form (test/docs/outcomes.test.ts);
 * what engines, registries and stores say in their own words comes after it.
 */
const FORMS: Readonly<Record<FailReason, string>> = {
  NON_ZERO_EXIT_CODE: 'exit code [1-9]\\d*(?:\\..*|: .+)',
  SIGNALLED: 'ended by SIG[A-Z0-9]+\\..*',
  OOM_KILLED:
    '(?:killed by the kernel: it|the kernel killed one of its processes, which) used more than its \\S+ of memory[;,] .+',
  OOM_SUSPECTED: 'killed from outside when nearly all of its \\S+ of memory was in use, .+',
  TIMED_OUT: 'it ran longer than \\w+; .+',
  IMAGE_NOT_FOUND: `(?:there is no image ".+", neither |the image ".+" (?:is not on the engine, and|was removed)|the image that this execution runs |${REGISTRY} has no image ".+", or |".+" ).+`,
  IMAGE_UNAUTHORIZED: `${REGISTRY} (?:does not let|has no image) .+`,
  IMAGE_PULL_FAILED:
    '(?:the image ".+" is not on the engine and could not be pulled: |pulling the image ".+" was given up: ).+',
  IMAGE_RATE_LIMITED: `${REGISTRY} has had too many pulls and gives ".+" later: .+`,
  IMAGE_DISK_FULL: 'the engine’s disk has no room for the image ".+": .+',
  CONTAINER_START_FAILED:
    '(?:the command ".+" is|the container could not be started: |a file could not be put into |the folder |the engine has a container |the gateway could not run ).+',
  CONTAINER_LOST:
    '(?:the container is gone, |the container ended, but |its engine, .+, was given up |the gateway could not run ).+',
  ENGINE_RESTARTED: 'the container engine was restarted while it ran, and ended it\\..*',
  ENGINE_REFUSED:
    '(?:the container engine (?:could|did|would|answers again|says of) |container |a folder of "binds" |.+ of the container has ).+',
  RENDER_FAILED: 'the task could not be prepared: .+',
  SECRET_UNREADABLE:
    '(?:the environment variable |the secrets? |the docker configuration |secrets are stored, |there is no secret |.+ is not the key that |".+" ).+',
  INPUT_UNAVAILABLE: `(?:there is no |s3://|the file |the body of event |${STORE}).+`,
  INPUT_FAILED: `(?:${STORE}|what was to become |the file |an input ).+`,
  OUTPUT_MISSING:
    '(?:it ended with exit code 0, but there is no file .+, which was to become .+|.+ is a (?:file|folder): write it .+)',
  OUTPUT_REFUSED:
    '(?:its outputs could not be stored: |it ended with exit code 0, but what it wrote to \\$TAPPET_OUTPUT |there is no connection |the key for |the task could not be prepared: ).+',
  OUTPUT_FAILED:
    '(?:its outputs could not be stored: |it ended with exit code 0, but what it wrote to \\$TAPPET_OUTPUT could not be read: ).+',
  TOO_MANY_FAILED:
    'task \\d+ failed.*: .+ (?:the other task was|the other \\d+ tasks were) cancelled: (?:failFast|maxFailedTasks is \\d+)\\.',
  DEADLINE_EXCEEDED:
    'not done within its deadline of \\w+: \\d+ of \\d+ tasks? had succeeded(?:, \\d+ had failed)?, \\d+ (?:was|were) cancelled\\..*',
  NEVER_FITS: 'a task needs .+, and the host of the container engine has .+',
};
const OF_ITSELF: readonly FailReason[] = [
  'TOO_MANY_FAILED',
  'DEADLINE_EXCEEDED',
  'NEVER_FITS',
] satisfies HaltReason[];

/** Whether a sentence is one that is said for this reason. Its first letter is small in the middle of another one. */
export function isSaidOf(reason: string, sentence: string): boolean {
  const form = Object.hasOwn(FORMS, reason) ? FORMS[reason as FailReason] : '(?!)';
  return (
    new RegExp(`^${form}$`, 'isu').test(sentence) &&
    !/(?<!\/)\b(?:undefined|null|NaN)\b|\[object /.test(sentence)
  );
}

const TASK_FAILED = /^Task \d+ failed(?: after (?:1 retry|\d+ retries))?: (.+)$/s;
const OTHERS = / \d+ other tasks? failed too\.$/;
const NO_RETRY = /, which "retry" of its job does not try again\.$/;

/** Whether the first line of `tappet executions describe` of one that failed for this reason names its cause. */
export function namesCause(reason: string, line: string): boolean {
  if (!line.startsWith('FAILED: ')) return false;
  const message = line.slice('FAILED: '.length);
  if ((OF_ITSELF as readonly string[]).includes(reason)) return isSaidOf(reason, message);
  const sentence = TASK_FAILED.exec(message)?.[1];
  return sentence !== undefined && isSaidOf(reason, sentence.replace(OTHERS, '').replace(NO_RETRY, '.'));
}
