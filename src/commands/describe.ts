import type { Command } from 'commander';
import { isTappetError } from '../client/api.ts';
import type {
  AttemptResource,
  DecisionResource,
  ExecutionResource,
  ExecutionUsageResource,
  TaskResource,
} from '../client/api.ts';
import type { Client } from '../client/client.ts';
import { measuredText, secondsText, usageText } from '../lib/usage-text.ts';
import { apiCommand, clientOf, executionName } from './api-command.ts';
import type { ApiOptions } from './api-command.ts';
import type { CliIo } from './io.ts';
import { clean, print, when } from './output.ts';

/** Failed tasks that are told in full. */
const TASKS_SHOWN = 10;
/** Of each task, the newest. */
const ATTEMPTS_SHOWN = 5;

interface DescribedTask extends TaskResource {
  readonly attemptList: readonly AttemptResource[];
}
/** What `-o json` prints. */
interface Description {
  readonly execution: ExecutionResource;
  /** The answer of the trigger that started it; null where the API did, or the event is gone or may not be read. */
  readonly decision: DecisionResource | null;
  /** Those that failed, at most 10; where the execution has one task, that. */
  readonly tasks: readonly DescribedTask[];
}

export function addDescribe(executions: Command, io: CliIo): void {
  apiCommand(executions, 'describe <name>', 'tell why an execution failed, why it ran, what it used').action(
    async (name: string, options: ApiOptions) => {
      const client = await clientOf(io, options);
      const execution = await client.executions.get(await executionName(client, name));
      const [decision, tasks] = await Promise.all([
        decisionOf(client, execution),
        tasksToTell(client, execution),
      ]);
      const description = { execution, decision, tasks };
      await print(io, options.output, description, () => describeText(description, io.now()));
    },
  );
}

async function decisionOf(client: Client, execution: ExecutionResource): Promise<DecisionResource | null> {
  const { cause, name } = execution;
  if ('principal' in cause) return null;
  try {
    const { decisions } = await client.events.get(cause.event);
    return decisions.find((one) => one.trigger === cause.trigger && one.execution === name) ?? null;
  } catch (error) {
    if (isTappetError(error, 'NOT_FOUND') || isTappetError(error, 'PERMISSION_DENIED')) return null;
    throw error;
  }
}

async function tasksToTell(client: Client, execution: ExecutionResource): Promise<DescribedTask[]> {
  const { name, failedCount, taskCount } = execution;
  const told: DescribedTask[] = [];
  const wanted = Math.min(TASKS_SHOWN, failedCount);
  if (wanted === 0 && taskCount !== 1) return told;
  for (let pageToken: string | undefined; pageToken !== '';) {
    const page: Awaited<ReturnType<Client['tasks']['list']>> = await client.tasks.list(name, {
      pageSize: 1000,
      pageToken,
    });
    for (const task of page.tasks) {
      if (task.state !== 'FAILED' && taskCount !== 1) continue;
      const { attempts } = await client.tasks.attempts(name, task.index);
      told.push({ ...task, attemptList: attempts });
      if (told.length >= Math.max(1, wanted)) return told;
    }
    pageToken = page.nextPageToken;
  }
  return told;
}

/** The first line is the cause. */
function describeText({ execution, decision, tasks }: Description, now: number): string {
  const { name, failedCount } = execution;
  const hidden = failedCount - tasks.length;
  return [
    headline(execution),
    '',
    ...facts(execution, decision, now).map(([label, text]) => `${label.padEnd(9)}  ${clean(text)}`),
    ...tasks.flatMap((task) => ['', ...taskLines(name, task, now)]),
    ...(tasks.length > 0 && hidden > 0
      ? ['', `${hidden} more failed: tappet executions tasks ${clean(name)}`]
      : []),
  ].join('\n');
}

function headline(execution: ExecutionResource): string {
  const { state, message, cancelRequestTime, waitsFor } = execution;
  if (message !== null) return clean(`${state}: ${message}`);
  const stopping = cancelRequestTime === null ? '' : ', and is being cancelled';
  const far = state === 'PENDING' && waitsFor !== null ? waitsFor : tasksText(execution);
  const kept = state === 'PENDING' || waitsFor === null ? '' : `; ${waitsFor}`;
  return clean(`${state}: ${far}${stopping}${kept}`);
}

type Fact = readonly [label: string, text: string];

function facts(execution: ExecutionResource, decision: DecisionResource | null, now: number): Fact[] {
  const { name, job, generation, spec, startTime, completionTime } = execution;
  const took =
    startTime === null || completionTime === null ? '' : `, took ${between(startTime, completionTime)}`;
  return [
    ['Execution', `${name} of job ${job}, generation ${generation}`],
    ['Why', whyText(execution, decision)],
    ...(execution.rerunOf === null ? [] : [['Re-run of', execution.rerunOf] as const]),
    ['Image', imageText(execution)],
    ['Tasks', tasksText(execution)],
    ['Created', when(execution.createTime, now)],
    ...(startTime === null ? [] : [['Started', when(startTime, now)] as const]),
    ...(completionTime === null ? [] : [['Ended', `${when(completionTime, now)}${took}`] as const]),
    ...(execution.usage.attempts === 0 ? [] : [['Used', usedText(execution.usage, spec.memory)] as const]),
  ];
}

/** With what the name stood for, once a container of it has started. */
function imageText({ spec, imageDigest, imageRepoDigest }: ExecutionResource): string {
  const exactly = imageRepoDigest ?? imageDigest;
  return exactly === null || spec.image.includes('@') ? spec.image : `${spec.image} (${exactly})`;
}

const between = (start: string, end: string): string =>
  secondsText(Math.max(0, Date.parse(end) - Date.parse(start)) / 1000);

function usedText(usage: ExecutionUsageResource, memory: string): string {
  const limit = usage.peakMemoryBytes === null ? '' : ` (each attempt may use ${memory} of memory)`;
  return `${usageText(usage)}${limit}`;
}

function whyText({ cause }: ExecutionResource, decision: DecisionResource | null): string {
  if ('principal' in cause) return `${cause.principal} asked for it`;
  const trigger = `trigger ${cause.trigger}, event ${cause.event}`;
  return decision === null ? trigger : `${trigger}: ${decision.reason}`;
}

function tasksText(execution: ExecutionResource): string {
  const { succeededCount, failedCount, cancelledCount, runningCount, retriedCount } = execution;
  return [
    `${succeededCount} of ${execution.tasksToRun} succeeded`,
    ...count(failedCount, 'failed'),
    ...count(cancelledCount, 'cancelled'),
    ...count(runningCount, 'running'),
    ...count(retriedCount, 'retried'),
  ].join(', ');
}

const count = (n: number, what: string): string[] => (n === 0 ? [] : [`${n} ${what}`]);

function taskLines(execution: string, { index, state, attemptList }: DescribedTask, now: number): string[] {
  const shown = attemptList.slice(-ATTEMPTS_SHOWN);
  const earlier = attemptList.length - shown.length;
  const ran = attemptList.findLast(({ startTime }) => startTime !== null);
  return [
    `Task ${index}: ${state}`,
    ...(earlier > 0
      ? [`  ${earlier} earlier attempts: tappet executions attempts ${clean(execution)} --task ${index}`]
      : []),
    ...shown.flatMap((attempt) => attemptLines(attempt, now)),
    ...(ran === undefined
      ? []
      : [`  Its log: tappet logs ${clean(execution)} --task ${index} --attempt ${ran.attempt}`]),
  ];
}

function attemptLines(attempt: AttemptResource, now: number): string[] {
  const { attempt: number, reason, state, message } = attempt;
  return [
    `  Attempt ${number}: ${reason ?? state}, ${attemptUsed(attempt, now)}`,
    ...(message === null ? [] : [`    ${clean(message)}`]),
  ];
}

function attemptUsed({ usage, startTime, endTime }: AttemptResource, now: number): string {
  if (usage === null || startTime === null) return endTime === null ? 'starting' : 'did not start';
  if (endTime !== null) return usageText(usage);
  const seconds = Math.max(0, now - Date.parse(startTime)) / 1000;
  return `for ${secondsText(seconds)} so far, ${measuredText(usage)}`;
}
