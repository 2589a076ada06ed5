import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import type { Client } from '../client/client.ts';
import { TappetError } from '../client/api.ts';
import { connect } from './connection.ts';
import type { ConnectionOptions } from './connection.ts';
import type { CliIo } from './io.ts';
import { FORMATS } from './output.ts';
import type { Format } from './output.ts';

export interface ApiOptions extends ConnectionOptions {
  readonly output: Format;
}
export interface PageOptions extends ApiOptions {
  readonly limit: number;
  readonly pageToken?: string;
}

/** A command that calls the gateway: where it is, and how to print. */
export function apiCommand(parent: Command, usage: string, description: string): Command {
  return connectionOptions(parent.command(usage).description(description)).addOption(
    new Option('-o, --output <format>', 'how to print').choices(FORMATS).default('table'),
  );
}

export function connectionOptions(command: Command): Command {
  return command
    .option('--url <url>', 'address of the gateway (or TAPPET_URL)')
    .option('--token <token>', 'API token (better: TAPPET_TOKEN, other users can see your command line)')
    .option('--data-dir <folder>', 'data folder of a gateway on this machine, for its address and token');
}

export function pageOptions(command: Command): Command {
  return command
    .option('--limit <n>', 'at most so many (1 to 1000)', pageLimit, 100)
    .option('--page-token <token>', 'continue a list');
}

export function pageQuery({ limit, pageToken }: PageOptions) {
  return { pageSize: limit, pageToken };
}

/** Tells where a list goes on; not part of the data. */
export function tellMore(io: CliIo, { nextPageToken }: { readonly nextPageToken: string }): void {
  if (nextPageToken !== '') io.err(`There is more: --page-token ${nextPageToken}`);
}

/** For what begins at 1. */
export function countingNumber(text: string): number {
  const number = wholeNumber(text);
  if (number === 0) throw new InvalidArgumentError('It must be at least 1.');
  return number;
}

function pageLimit(text: string): number {
  const number = countingNumber(text);
  if (number > 1000)
    throw new InvalidArgumentError('It must be at most 1000; the rest comes with --page-token.');
  return number;
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

/** Collects an option that may be repeated. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

export function clientOf(io: CliIo, options: ConnectionOptions): Promise<Client> {
  return connect(io, options);
}

/** The name itself; `@latest` is the execution that was created last. Errors: NOT_FOUND. */
export async function executionName(client: Client, name: string): Promise<string> {
  if (name !== '@latest') return name;
  const { executions } = await client.executions.list({ pageSize: 1 });
  const latest = executions[0];
  if (latest === undefined)
    throw new TappetError('NOT_FOUND', 'There is no execution yet, so there is no latest one.');
  return latest.name;
}
