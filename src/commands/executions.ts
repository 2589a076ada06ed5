import { Option } from 'commander';
import type { Command } from 'commander';
import type { AttemptResource, ExecutionResource, ExecutionState, TaskResource } from '../client/api.ts';
import {
  apiCommand,
  clientOf,
  executionName,
  pageOptions,
  pageQuery,
  tellMore,
  wholeNumber,
} from './api-command.ts';
import type { ApiOptions, PageOptions } from './api-command.ts';
import { addDescribe } from './describe.ts';
import { addExecutionLogs } from './execution-logs.ts';
import type { CliIo } from './io.ts';
import { fields, print, table, when } from './output.ts';
import { durationOption, tellEnd, untilEnd } from './until-end.ts';
import type { WaitOptions } from './until-end.ts';

interface ListOptions extends PageOptions {
  readonly job?: string;
  readonly state?: ExecutionState;
  readonly trigger?: string;
  readonly event?: string;
}

export function addExecutions(program: Command, io: CliIo): void {
  const executions = program.command('executions').description('runs of jobs; @latest is the newest');
  addList(executions, io);
  apiCommand(executions, 'get <name>', 'show an execution').action(
    async (name: string, options: ApiOptions) => {
      const client = await clientOf(io, options);
      const execution = await client.executions.get(await executionName(client, name));
      await print(io, options.output, execution, () => fields(execution, io.now()));
    },
  );
  addDescribe(executions, io);
  apiCommand(executions, 'cancel <name>', 'stop an execution').action(
    async (name: string, options: ApiOptions) => {
      const client = await clientOf(io, options);
      const execution = await client.executions.cancel(await executionName(client, name));
      await print(io, options.output, execution, () => executionTable([execution], io.now()));
    },
  );
  apiCommand(executions, 'rerun <name>', 'run again what failed or was cancelled in an ended execution')
    .option('--wait', 'wait for the end; exit code 1 where it did not succeed')
    .option('--wait-timeout <duration>', 'stop waiting after this time (exit code 124)', durationOption)
    .action(async (name: string, options: ApiOptions & WaitOptions) => rerun(io, name, options));
  apiCommand(executions, 'delete <name>', 'delete an ended execution, with its logs').action(
    async (name: string, options: ApiOptions) => {
      const client = await clientOf(io, options);
      const execution = await executionName(client, name);
      await client.executions.delete(execution);
      io.err(`Deleted ${execution}.`);
    },
  );
  addTasks(executions, io);
  addExecutionLogs(executions, io);
}

function addList(executions: Command, io: CliIo): void {
  const states: readonly ExecutionState[] = ['PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'];
  pageOptions(apiCommand(executions, 'list', 'list executions, newest first'))
    .option('--job <name>', 'only of this job')
    .addOption(new Option('--state <state>', 'only in this state').choices(states))
    .option('--trigger <name>', 'only started by this trigger')
    .option('--event <uid>', 'only started by this event')
    .action(async (options: ListOptions) => {
      const { job, state, trigger, event } = options;
      const client = await clientOf(io, options);
      const page = await client.executions.list({ ...pageQuery(options), job, state, trigger, event });
      await print(io, options.output, page, () => executionTable(page.executions, io.now()));
      tellMore(io, page);
    });
}

function addTasks(executions: Command, io: CliIo): void {
  pageOptions(apiCommand(executions, 'tasks <name>', 'list the tasks of an execution')).action(
    async (name: string, options: PageOptions) => {
      const client = await clientOf(io, options);
      const page = await client.tasks.list(await executionName(client, name), pageQuery(options));
      await print(io, options.output, page, () => taskTable(page.tasks, io.now()));
      tellMore(io, page);
    },
  );
  apiCommand(executions, 'attempts <name>', 'list every attempt of a task')
    .option('--task <index>', 'which task', wholeNumber, 0)
    .action(async (name: string, options: ApiOptions & { readonly task: number }) => {
      const client = await clientOf(io, options);
      const page = await client.tasks.attempts(await executionName(client, name), options.task);
      await print(io, options.output, page, () => attemptTable(page.attempts, io.now()));
    });
}

async function rerun(io: CliIo, name: string, options: ApiOptions & WaitOptions): Promise<void> {
  const client = await clientOf(io, options);
  const started = await client.executions.rerun(await executionName(client, name));
  if (options.wait !== true) {
    await print(io, options.output, started, () => fields(started, io.now()));
    return;
  }
  io.err(`Started ${started.name}: ${started.tasksToRun} of ${started.taskCount} tasks.`);
  const ended = await untilEnd(io, client, started, options);
  await print(io, options.output, ended, () => fields(ended, io.now()));
  tellEnd(io, ended);
}

function executionTable(executions: readonly ExecutionResource[], now: number): string {
  // A column of its own only where something waits.
  const waiting = executions.some(({ waitsFor }) => waitsFor !== null);
  return table(
    ['NAME', 'JOB', 'STATE', 'TASKS', 'CREATED', 'CAUSE', ...(waiting ? ['WAITS'] : [])],
    executions.map((execution) => [
      execution.name,
      execution.job,
      execution.state,
      `${execution.succeededCount}/${execution.tasksToRun}`,
      when(execution.createTime, now),
      causeText(execution),
      ...(waiting ? [execution.waitsFor ?? ''] : []),
    ]),
  );
}

function causeText({ cause, rerunOf }: ExecutionResource): string {
  if (rerunOf !== null) return `re-run of ${rerunOf}`;
  return 'principal' in cause ? `called by ${cause.principal}` : `trigger ${cause.trigger}`;
}

function taskTable(tasks: readonly TaskResource[], now: number): string {
  return table(
    ['INDEX', 'STATE', 'ATTEMPTS', 'RETRIED', 'STARTED', 'ENDED', 'MESSAGE'],
    tasks.map((task) => [
      String(task.index),
      task.state,
      String(task.attempts),
      String(task.retried),
      when(task.startTime, now),
      when(task.completionTime, now),
      task.message === null
        ? (task.waitsFor ?? '')
        : [task.message, ...(task.waitsFor === null ? [] : [`It ${task.waitsFor}.`])].join(' '),
    ]),
  );
}

function attemptTable(attempts: readonly AttemptResource[], now: number): string {
  return table(
    ['ATTEMPT', 'STATE', 'REASON', 'EXIT', 'STARTED', 'ENDED', 'MESSAGE'],
    attempts.map((attempt) => [
      String(attempt.attempt),
      attempt.state,
      attempt.reason ?? '-',
      attempt.exitCode === null ? (attempt.signal ?? '-') : String(attempt.exitCode),
      when(attempt.startTime, now),
      when(attempt.endTime, now),
      attempt.message ?? '',
    ]),
  );
}
