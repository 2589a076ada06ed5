import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { SEVERITIES } from '../client/api.ts';
import type { LogLineResource, LogStream, Severity } from '../client/api.ts';
import { clientOf, connectionOptions, countingNumber, executionName, wholeNumber } from './api-command.ts';
import type { ConnectionOptions } from './connection.ts';
import type { CliIo } from './io.ts';
import { clean } from './output.ts';

interface LogOptions extends ConnectionOptions {
  readonly task?: number;
  readonly attempt?: number;
  readonly stream?: LogStream;
  readonly follow?: boolean;
  readonly tail?: number;
  readonly grep?: string;
  readonly severity?: Severity;
  readonly since?: string;
  readonly output: 'text' | 'json';
}

const MAX_TAIL = 10_000;
const SEVERITY_WIDTH = Math.max(...SEVERITIES.map((severity) => severity.length));

export function addExecutionLogs(executions: Command, io: CliIo): void {
  connectionOptions(
    executions.command('logs <name>').description('print what all tasks wrote, line by line, by time'),
  )
    .option('--task <index>', 'only of this task', wholeNumber)
    .option('--attempt <n>', 'only of attempts with this number', wholeNumber)
    .addOption(new Option('--stream <stream>', 'only this one').choices(['stdout', 'stderr']))
    .option('-f, --follow', 'go on until the execution (with --task: the task) has ended')
    .option('--tail <n>', `only the last lines, at most ${MAX_TAIL}`, tailNumber)
    .option('--grep <text>', 'only lines with this text, in letters of either case')
    .option('--severity <severity>', 'only lines at least as severe, such as WARNING', severityOption)
    .option('--since <time>', 'only lines from this time on, such as 2026-01-31T08:00:00Z')
    .addOption(
      new Option('-o, --output <format>', 'how to print; json is one object a line')
        .choices(['text', 'json'])
        .default('text'),
    )
    .action(async (name: string, options: LogOptions) => {
      const client = await clientOf(io, options);
      const execution = await executionName(client, name);
      const { task, attempt, stream, tail, grep: q, severity, since } = options;
      const params = { task, attempt, stream, tail, q, severity, since, signal: io.signal };
      const lines =
        options.follow === true
          ? client.logs.followLines(execution, params)
          : client.logs.lines(execution, params);
      for await (const line of lines) {
        await io.out(options.output === 'json' ? `${JSON.stringify(line)}\n` : lineText(line));
      }
    });
}

/** `2026-01-31T08:00:00.000Z 3/0 ERROR     what it wrote`; a tab may stay, nothing else that moves the cursor. */
function lineText({ time, task, attempt, severity, text }: LogLineResource): string {
  const words = text.replace(/\r$/, '').split('\t').map(clean).join('\t');
  return `${time} ${task}/${attempt} ${severity.padEnd(SEVERITY_WIDTH)} ${words}`.trimEnd() + '\n';
}

function tailNumber(text: string): number {
  const number = countingNumber(text);
  if (number > MAX_TAIL) throw new InvalidArgumentError(`It must be at most ${MAX_TAIL}.`);
  return number;
}

function severityOption(text: string): Severity {
  const found = SEVERITIES.find((severity) => severity === text.toUpperCase());
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`It must be one of ${SEVERITIES.join(', ')}.`);
}
