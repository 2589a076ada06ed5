import { RETRY_DEFAULTS } from '../core/job.ts';
import type { JobSpec, RetryPolicy } from '../core/job.ts';
import type { JsonObject } from '../core/json.ts';
import { formatDuration, parseDuration } from '../lib/duration.ts';
import type { CompileContext } from './context.ts';
import type { PathSegment } from './positions.ts';
import { isMap, listOf, mapOf, textOf } from './raw.ts';
import type { JobInput, RetryInput } from './schema.ts';

type Path = readonly PathSegment[];

/** The fields of a spec that say what becomes of failures; none where the job says nothing. */
export function retryFields({
  retry,
  failFast,
  maxFailedTasks,
  deadline,
}: JobInput): Pick<JobSpec, 'retry' | 'maxFailedTasks' | 'deadlineMs'> {
  const most = failFast === true ? 0 : maxFailedTasks;
  return {
    ...(retry === undefined ? {} : { retry: toPolicy(retry) }),
    ...(most === undefined ? {} : { maxFailedTasks: most }),
    ...(deadline === undefined ? {} : { deadlineMs: deadline }),
  };
}

function toPolicy({ backoff, initial, factor, max, jitter, ...rules }: RetryInput): RetryPolicy {
  const { onExitCodes, notOnExitCodes, onReasons } = rules;
  return {
    backoff,
    initialMs: initial,
    factor,
    maxMs: max,
    jitter: jitter ?? (backoff === 'none' ? 'none' : 'full'),
    ...(onExitCodes === undefined ? {} : { onExitCodes }),
    ...(notOnExitCodes === undefined ? {} : { notOnExitCodes }),
    ...(onReasons === undefined ? {} : { onReasons }),
  };
}

/** What each field allows for itself, but not with the others: it would do nothing, or not what it seems to say. */
export function checkRetry(job: JsonObject, path: Path, { report }: CompileContext): void {
  const most = job['maxFailedTasks'];
  if (job['failFast'] === true && most !== undefined && most !== 0) {
    report.add([...path, 'maxFailedTasks'], 'goes not with "failFast", which means 0: leave one of them out');
  }
  if (!isMap(job['retry'] ?? null)) return;
  const retry = mapOf(job['retry']);
  const at = [...path, 'retry'];
  const problem = (field: string, message: string): void => report.add([...at, field], message);
  checkBackoff(retry, problem);
  checkRules(retry, problem);
}

type Problem = (field: string, message: string) => void;

/** Fields that count, by backoff. */
const COUNTING: Readonly<Record<string, readonly string[]>> = {
  none: [],
  constant: ['initial', 'jitter'],
  exponential: ['initial', 'factor', 'max', 'jitter'],
};

function checkBackoff(retry: JsonObject, problem: Problem): void {
  const backoff = textOf(retry['backoff'] ?? RETRY_DEFAULTS.backoff) ?? '';
  const counting = COUNTING[backoff];
  if (counting === undefined) return;
  for (const field of ['initial', 'factor', 'max', 'jitter']) {
    if (retry[field] === undefined || counting.includes(field)) continue;
    const fix = counting.length === 0 ? 'write "backoff": "constant" or "exponential" too' : 'leave it out';
    problem(field, `has no effect where "backoff" is "${backoff}": ${fix}`);
  }
  if (backoff !== 'exponential') return;
  const initial = durationOf(retry, 'initial', RETRY_DEFAULTS.initialMs);
  const max = durationOf(retry, 'max', RETRY_DEFAULTS.maxMs);
  if (initial > max)
    problem('initial', `is longer than "max" (${formatDuration(max)}): write a longer "max" too`);
}

/** 0 where what stands there is no duration, which its own field says. */
function durationOf(retry: JsonObject, field: string, absent: number): number {
  if (retry[field] === undefined) return absent;
  try {
    return parseDuration(textOf(retry[field]) ?? '');
  } catch {
    return 0;
  }
}

function checkRules(retry: JsonObject, problem: Problem): void {
  const never = new Set(listOf(retry['notOnExitCodes']));
  const both = listOf(retry['onExitCodes']).find((code) => never.has(code));
  if (both !== undefined) {
    problem('notOnExitCodes', `names ${JSON.stringify(both)}, which "onExitCodes" names too: write it once`);
  }
  const all = listOf(retry['onReasons']).includes('NON_ZERO_EXIT_CODE');
  if (all && retry['onExitCodes'] !== undefined) {
    problem('onExitCodes', 'has no effect beside the reason NON_ZERO_EXIT_CODE, which is every exit code');
  }
}
