import type { Command } from 'commander';
import type { JobResource, OverridesResource } from '../client/api.ts';
import {
  apiCommand,
  clientOf,
  collect,
  countingNumber,
  pageOptions,
  pageQuery,
  tellMore,
} from './api-command.ts';
import type { ApiOptions, PageOptions } from './api-command.ts';
import { EXIT } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { ExitWith } from './io.ts';
import { fields, print, table, when } from './output.ts';
import { durationOption, tellEnd, untilEnd } from './until-end.ts';
import type { WaitOptions } from './until-end.ts';

interface RunOptions extends ApiOptions, WaitOptions {
  readonly env?: readonly string[];
  readonly args?: readonly string[];
  readonly taskCount?: number;
  readonly timeout?: string;
  readonly validateOnly?: boolean;
}

export function addJobs(program: Command, io: CliIo): void {
  const jobs = program.command('jobs').description('what can be run');
  pageOptions(apiCommand(jobs, 'list', 'list the jobs')).action(async (options: PageOptions) => {
    const page = await (await clientOf(io, options)).jobs.list(pageQuery(options));
    await print(io, options.output, page, () => jobTable(page.jobs, io.now()));
    tellMore(io, page);
  });
  apiCommand(jobs, 'get <name>', 'show a job').action(async (name: string, options: ApiOptions) => {
    const job = await (await clientOf(io, options)).jobs.get(name);
    await print(io, options.output, job, () => fields(job, io.now()));
  });
  apiCommand(jobs, 'run <name> [args...]', 'run a job now; words after -- replace its args')
    .option('--env <K=V>', 'set a variable for this run (may be repeated)', collect)
    .option(
      '--args <args...>',
      'replace the args of the job for this run (those that start with a dash: after --)',
    )
    .option('--task-count <n>', 'number of tasks for this run', countingNumber)
    .option('--timeout <duration>', 'time limit of each attempt of this run, such as 90s or 1h30m')
    .option('--validate-only', 'check everything, start nothing')
    .option('--wait', 'wait for the end; exit code 1 where it did not succeed')
    .option('--follow', 'print what task 0 writes, and wait for the end')
    .option('--wait-timeout <duration>', 'stop waiting after this time (exit code 124)', durationOption)
    .action(async (name: string, args: string[], options: RunOptions) => run(io, name, args, options));
}

function jobTable(jobs: readonly JobResource[], now: number): string {
  return table(
    ['NAME', 'IMAGE', 'TASKS', 'TIMEOUT', 'GENERATION', 'UPDATED'],
    jobs.map(({ name, template, generation, updateTime }) => [
      name,
      template.image,
      String(template.taskCount),
      template.timeout,
      String(generation),
      when(updateTime, now),
    ]),
  );
}

async function run(io: CliIo, name: string, args: readonly string[], options: RunOptions): Promise<void> {
  const client = await clientOf(io, options);
  const overrides = overridesOf(io, args, options);
  const started = await client.jobs.run(name, {
    ...(Object.keys(overrides).length === 0 ? {} : { overrides }),
    ...(options.validateOnly === true ? { validateOnly: true } : {}),
  });
  const waits = (options.wait === true || options.follow === true) && options.validateOnly !== true;
  if (!waits) {
    await print(io, options.output, started, () => fields(started, io.now()));
    return;
  }
  io.err(`Started ${started.name}.`);
  const ended = await untilEnd(io, client, started, options);
  if (options.follow !== true) await print(io, options.output, ended, () => fields(ended, io.now()));
  tellEnd(io, ended);
}

function overridesOf(io: CliIo, words: readonly string[], options: RunOptions): OverridesResource {
  const args = words.length > 0 ? words : options.args;
  if (words.length > 0 && options.args !== undefined) {
    io.err('error: give the args either with --args or after --, not both');
    throw new ExitWith(EXIT.usage);
  }
  const { env, taskCount, timeout } = options;
  return {
    ...(env === undefined ? {} : { env: Object.fromEntries(env.map((pair) => envPair(io, pair))) }),
    ...(args === undefined ? {} : { args }),
    ...(taskCount === undefined ? {} : { taskCount }),
    ...(timeout === undefined ? {} : { timeout }),
  };
}

function envPair(io: CliIo, pair: string): [string, string] {
  const at = pair.indexOf('=');
  if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)];
  io.err(`error: --env ${JSON.stringify(pair)} is not NAME=VALUE`);
  throw new ExitWith(EXIT.usage);
}
