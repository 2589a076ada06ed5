import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { errorText } from '../client/api.ts';
import type { FireResource, Json, TriggerResource } from '../client/api.ts';
import { hasCode } from '../lib/has-code.ts';
import { apiCommand, clientOf, countingNumber, pageOptions, pageQuery, tellMore } from './api-command.ts';
import type { ApiOptions, PageOptions } from './api-command.ts';
import { EXIT } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { ExitWith } from './io.ts';
import { fields, print, table, when } from './output.ts';
import { curlText } from './curl.ts';
import { decisionTable } from './events.ts';

interface FireOptions extends ApiOptions {
  readonly data?: string;
  readonly idempotencyKey?: string;
}

export function addTriggers(program: Command, io: CliIo): void {
  const triggers = program.command('triggers').description('what starts jobs');
  pageOptions(apiCommand(triggers, 'list', 'list the triggers')).action(async (options: PageOptions) => {
    const page = await (await clientOf(io, options)).triggers.list(pageQuery(options));
    await print(io, options.output, page, () => triggerTable(page.triggers));
    tellMore(io, page);
  });
  apiCommand(triggers, 'get <name>', 'show a trigger')
    .alias('show')
    .option('--curl', 'print a call of it for the shell instead')
    .action(async (name: string, options: ApiOptions & { readonly curl?: true }) => {
      const client = await clientOf(io, options);
      const trigger = await client.triggers.get(name);
      if (options.curl) {
        const { source, issuers } = trigger;
        return io.out(`${curlText({ trigger: name, url: client.url, source, issuers })}\n`);
      }
      await print(io, options.output, trigger, () => triggerText(trigger, io.now()));
    });
  addNext(triggers, io);
  apiCommand(triggers, 'fire <name>', 'let a trigger see an event now')
    .option('--data <json>', "the event's data: JSON, @file, or - for standard input")
    .option('--idempotency-key <key>', 'makes a repeated call the same event')
    .action(async (name: string, options: FireOptions) => {
      const data = await dataOf(io, options.data);
      const { idempotencyKey } = options;
      const fired = await (await clientOf(io, options)).triggers.fire(name, { data, idempotencyKey });
      await print(io, options.output, fired, () => fireText(fired, io.now()));
    });
}

function addNext(triggers: Command, io: CliIo): void {
  apiCommand(triggers, 'next <name>', 'show when a trigger fires next')
    .option('--count <n>', 'how many times', countingNumber, 5)
    .option('--from <time>', 'from this time on, such as 2026-01-31T08:00:00Z')
    .action(
      async (name: string, options: ApiOptions & { readonly count: number; readonly from?: string }) => {
        const { count, from } = options;
        const next = await (await clientOf(io, options)).triggers.next(name, { count, from });
        await print(io, options.output, next, () =>
          table(
            ['TIME'],
            next.times.map((time) => [when(time, io.now())]),
          ),
        );
        if (next.times.length === 0) io.err(`${name} has no schedule.`);
      },
    );
}

function triggerTable(triggers: readonly TriggerResource[]): string {
  return table(
    ['NAME', 'KIND', 'JOB', 'WHEN'],
    triggers.map(({ name, source, run, when: condition }) => [
      name,
      textOf(source, 'kind'),
      textOf(run, 'job'),
      typeof condition === 'string' ? condition : '-',
    ]),
  );
}

/** What its source tells of it, in lines as the others are. */
function triggerText({ status, ...trigger }: TriggerResource, now: number): string {
  if (status === null) return fields(trigger, now);
  const { firstStartTime, existing } = status;
  const skipped = `${existing.skipped} that were there before the first start${existing.complete ? '' : ', so far'}`;
  return fields({ ...trigger, firstStartTime, skipped }, now);
}

function textOf(value: Json, key: string): string {
  const field = typeof value === 'object' && value !== null && !Array.isArray(value) ? value[key] : undefined;
  return typeof field === 'string' ? field : '-';
}

function fireText(fired: FireResource, now: number): string {
  const executions = Object.entries(fired.executions).map(([name, state]) => `${name} (${state})`);
  const head = fields({ event: fired.event, executions: executions.join(', ') }, now);
  if (!fired.decided) return `${head}\nNo decision yet; ask again: tappet events get ${fired.event}`;
  return `${head}\n\n${decisionTable(fired.decisions)}`;
}

async function dataOf(io: CliIo, data: string | undefined): Promise<Json | undefined> {
  if (data === undefined) return undefined;
  const text = await textFrom(io, data);
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    const hint = /^[[{"]/.test(text.trim()) ? '' : '; a text is written in quotes: \'"text"\'';
    io.err(`error: --data is not JSON: ${errorText(error)}${hint}`);
    throw new ExitWith(EXIT.usage);
  }
}

async function textFrom(io: CliIo, data: string): Promise<string> {
  if (data === '-') return io.readStdin();
  if (!data.startsWith('@')) return data;
  const path = data.slice(1);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const missing = hasCode(error, 'ENOENT');
    io.err(
      `error: --data names the file ${path}, ${missing ? 'which does not exist' : `which cannot be read: ${errorText(error)}`}`,
    );
    throw new ExitWith(EXIT.usage);
  }
}
