import type { Attempt, AttemptReason, Execution } from '../../../src/core/execution.ts';
import type { Finding, Life, Outcome } from './checkers.ts';
import { JOBS, TIMEOUT_MS, planOf } from './scenario.ts';
import type { Plan } from './scenario.ts';

/** Ends that are the infrastructure's: how often a task may have such an end and be tried again; 1 = never. */
const INFRA: ReadonlyMap<AttemptReason, number> = new Map([
  ['CONTAINER_LOST', 3],
  ['ENGINE_RESTARTED', 3],
  ['ENGINE_REFUSED', 3],
  ['OUTPUT_FAILED', 3],
  ['IMAGE_PULL_FAILED', 3],
  ['IMAGE_RATE_LIMITED', 8],
  ['IMAGE_DISK_FULL', 8],
  ['INPUT_FAILED', 8],
  ['IMAGE_NOT_FOUND', 1],
  ['IMAGE_UNAUTHORIZED', 1],
  ['CONTAINER_START_FAILED', 1],
  ['INPUT_UNAVAILABLE', 1],
  ['OUTPUT_REFUSED', 1],
]);
const isInfra = ({ reason }: Attempt): boolean => reason !== null && INFRA.has(reason);
/** The first pause after an infrastructure failure. */
const INFRA_PAUSE_MS = 5_000;

export function checkTask(execution: Execution, life: Life, outcome: Outcome): Finding[] {
  const { name, spec } = execution;
  const { task, attempts } = life;
  const findings: Finding[] = checkTries(execution, life);
  const limit = (what: string): void =>
    void findings.push({ kind: 'limit', what: `${name} task ${task.index}: ${what}` });
  for (const [i, attempt] of attempts.entries()) {
    const before = attempts[i - 1];
    if (attempt.attempt !== i) limit(`attempt ${attempt.attempt} in place ${i}`);
    const byRule = spec.retry?.backoff === 'constant' ? spec.retry.initialMs : 0;
    const pause = before === undefined ? 0 : isInfra(before) ? INFRA_PAUSE_MS : byRule;
    const waited = attempt.createTime - (before?.endTime ?? 0);
    if (waited < pause && outcome.mischief.jumped === 0)
      limit(`attempt ${i} came after ${waited} ms, not ${pause}`);
    if (before !== undefined && before.state !== 'FAILED')
      limit(`attempt ${i} follows one that is ${before.state}`);
    if (attempt.endTime === null)
      findings.push({ kind: 'stuck', what: `${attempt.containerName} is ${attempt.state}` });
    else findings.push(...checkTruth(attempt, outcome));
  }
  return findings;
}

/** As many as the job allows of its own failures, whatever the infrastructure did beside them. */
function checkTries({ name, spec, job }: Execution, { task, attempts }: Life): Finding[] {
  const findings: Finding[] = [];
  const limit = (what: string): void =>
    void findings.push({ kind: 'limit', what: `${name} task ${task.index}: ${what}` });
  const failed = attempts.filter((one) => one.state === 'FAILED' && !isInfra(one));
  if (failed.length > spec.maxRetries + 1)
    limit(`${failed.length} attempts failed, maxRetries is ${spec.maxRetries}`);
  const infra = attempts.filter(isInfra);
  const most = infra.reduce((sum, { reason }) => Math.max(sum, INFRA.get(reason ?? 'CANCELLED') ?? 0), 0);
  // Images, inputs and all else are counted apart.
  if (infra.length > most + 2 * 3) limit(`${infra.length} attempts for the infrastructure`);
  const last = attempts.at(-1);
  if (task.state !== 'FAILED' || last === undefined) return findings;
  const ruledOut =
    last.exitCode !== null && JOBS.get(job)?.spec.retry?.notOnExitCodes?.includes(last.exitCode);
  if (!isInfra(last) && failed.length !== spec.maxRetries + 1 && ruledOut !== true)
    limit(`given up after ${failed.length} failures of its own, maxRetries is ${spec.maxRetries}`);
  const same = infra.filter(({ reason }) => reason === last.reason).length;
  const kind = INFRA.get(last.reason ?? 'CANCELLED');
  if (kind !== undefined && same > kind) limit(`${same} attempts ended with ${last.reason}`);
  return findings;
}

/** How often the engine must have refused the end of a log, and what the attempt says then. */
const LOG_TRIES = 6;
const LOG_GIVEN_UP = 'The end of its output could not be read from the engine.';
const CHILD_KILLED = 'killed one of its processes';

/** What is stored of an attempt is what its container did. */
function checkTruth(attempt: Attempt, outcome: Outcome): Finding[] {
  const { containerName, reason, exitCode } = attempt;
  const { seed, mischief, engine } = outcome;
  const plan = planOf(containerName, seed);
  const said = `${containerName} is ${attempt.state}: ${reason}, exit code ${exitCode}, ${attempt.message}`;
  const lie: Finding = {
    kind: 'lie',
    what: `${said}; it ran ${plan.durationMs} ms and exited with ${plan.exitCode ?? 'SIGKILL for its memory'}`,
  };
  if (engine.strangers.has(containerName) && attempt.startTime !== null)
    return [{ kind: 'stranger', what: `${said}; somebody else had its name` }];
  if (mischief.jumped > 0 && byTheTimeOfDay(attempt)) return [];
  const withEngine = engine.endedWithEngine.get(containerName);
  if (withEngine !== undefined) return endedWithEngine(attempt, withEngine, outcome) ? [] : [lie];
  const byItself = BY_ITSELF.has(reason ?? 'CANCELLED');
  if (byItself && !isEnd(attempt, plan)) return [lie];
  // When it was removed, nobody knows who had no eye on it.
  if (mischief.vanished.has(containerName)) return [];
  if (LOST.has(reason ?? 'CANCELLED')) return [lie];
  if (reason === 'TIMED_OUT' && plan.durationMs < TIMEOUT_MS) return [lie];
  return byItself ? checkLog(attempt, plan, said, outcome) : [];
}

/**
 * A process that takes an attempt over has only the time of day: where that was set meanwhile it may take it for too old,
 * and what it was asked to end by for ended before. (That one process is not misled is shown by a test of its own.)
 */
const byTheTimeOfDay = ({ reason, exitCode, stopReason }: Attempt): boolean =>
  reason === 'TIMED_OUT' || (stopReason !== null && (exitCode === 137 || exitCode === 143));

const BY_ITSELF = new Set<AttemptReason>([
  'EXITED_ZERO',
  'NON_ZERO_EXIT_CODE',
  'SIGNALLED',
  'OOM_KILLED',
  'OOM_SUSPECTED',
  'OUTPUT_MISSING',
]);
/** Not without an engine that ended, or somebody who removed it. */
const LOST = new Set<AttemptReason>(['CONTAINER_LOST', 'ENGINE_RESTARTED', 'OUTPUT_MISSING']);

function isEnd({ reason, exitCode, message }: Attempt, plan: Plan): boolean {
  if (plan.exitCode === null) return reason === 'OOM_KILLED' && exitCode === null;
  if (plan.childKilled !== (message?.includes(CHILD_KILLED) === true)) return false;
  return (
    exitCode === plan.exitCode && reason === (plan.exitCode === 0 ? 'EXITED_ZERO' : 'NON_ZERO_EXIT_CODE')
  );
}

/** Who was there all the time saw the engine end; who came later, or after a jump of the clock, saw an exit code. */
function endedWithEngine(
  { containerName, reason, exitCode }: Attempt,
  code: number,
  outcome: Outcome,
): boolean {
  if (reason === 'ENGINE_RESTARTED' || reason === 'CANCELLED') return true;
  // It may have been removed before its start was stored, and begun again under its name.
  if (outcome.mischief.vanished.has(containerName)) return true;
  // It was asked to end, and then the engine ended it.
  if (reason === 'TIMED_OUT') return planOf(containerName, outcome.seed).durationMs >= TIMEOUT_MS;
  const seen = outcome.mischief.witnessed.has(containerName) && outcome.mischief.jumped === 0;
  return !seen && reason === 'NON_ZERO_EXIT_CODE' && exitCode === code;
}

function checkLog(attempt: Attempt, { lines }: Plan, said: string, { logs, engine }: Outcome): Finding[] {
  const text = logs.text(attempt);
  const whole = lines.join('');
  // It may be given up where the engine refuses it again and again, if the attempt says so.
  const { containerName } = attempt;
  const refusals = engine.fake.refused.filter(
    ({ method, name }) => method === 'logs' && name === containerName,
  );
  const givenUp = refusals.length >= LOG_TRIES && attempt.message?.includes(LOG_GIVEN_UP) === true;
  return text === whole || (givenUp && whole.startsWith(text))
    ? []
    : [{ kind: 'log', what: `${said}; its log says ${JSON.stringify(text)}` }];
}
