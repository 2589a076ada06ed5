import { Option } from 'commander';
import type { Command } from 'commander';
import { gapText } from '../client/api.ts';
import type { Client } from '../client/client.ts';
import type { LogStream } from '../client/api.ts';
import { clientOf, connectionOptions, executionName, wholeNumber } from './api-command.ts';
import type { ConnectionOptions } from './connection.ts';
import type { CliIo } from './io.ts';

interface LogOptions extends ConnectionOptions {
  readonly task: number;
  readonly attempt?: number;
  readonly follow?: boolean;
  readonly stream?: LogStream;
}

export function addLogs(program: Command, io: CliIo): void {
  connectionOptions(
    program
      .command('logs <execution>')
      .description('print what a task wrote; @latest is the newest execution'),
  )
    .option('--task <index>', 'which task', wholeNumber, 0)
    .option('--attempt <n>', 'which attempt (default: the newest); with --follow the first one', wholeNumber)
    .option('-f, --follow', 'go on until the task has ended')
    .addOption(new Option('--stream <stream>', 'only this one').choices(['stdout', 'stderr']))
    .action(async (name: string, options: LogOptions) => {
      const client = await clientOf(io, options);
      const execution = await executionName(client, name);
      const { task: index, attempt, stream } = options;
      if (options.follow === true) {
        await followLog(io, client, execution, { index, attempt, stream, signal: io.signal });
        return;
      }
      let silent = true;
      for await (const data of client.logs.read(execution, index, { attempt, stream })) {
        silent = false;
        await io.out(data);
      }
      // A task that writes nothing is usual; one that never began would look just the same.
      if (silent && (await client.tasks.get(execution, index)).attempts === 0)
        io.err(`Task ${index} of ${execution} has not started yet; --follow waits for it.`);
    });
}

export interface FollowLog {
  readonly index: number;
  readonly attempt?: number | undefined;
  readonly stream?: LogStream | undefined;
  readonly signal: AbortSignal;
}

/** Prints the output of a task as it comes, byte for byte; a new attempt is told on standard error. */
export async function followLog(
  io: CliIo,
  client: Client,
  execution: string,
  params: FollowLog,
): Promise<void> {
  const { index, attempt: first, stream, signal } = params;
  let attempt: number | undefined;
  for await (const entry of client.logs.follow(execution, index, { attempt: first, stream, signal })) {
    if (attempt !== undefined && entry.attempt !== attempt)
      io.err(`Attempt ${entry.attempt} of task ${index}:`);
    attempt = entry.attempt;
    if (entry.missing === undefined) await io.out(entry.data);
    else io.err(gapText(entry.missing));
  }
}
