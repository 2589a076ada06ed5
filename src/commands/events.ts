import type { Command } from 'commander';
import type { DecisionResource, EventDetailResource, EventResource } from '../client/api.ts';
import { apiCommand, clientOf, pageOptions, pageQuery, tellMore } from './api-command.ts';
import type { ApiOptions, PageOptions } from './api-command.ts';
import type { CliIo } from './io.ts';
import { fields, print, table, when } from './output.ts';

interface ListOptions extends PageOptions {
  readonly origin?: string;
  readonly trigger?: string;
  readonly type?: string;
}

export function addEvents(program: Command, io: CliIo): void {
  const events = program.command('events').description('what happened, and what each trigger answered');
  pageOptions(apiCommand(events, 'list', 'list events, newest first'))
    .option('--origin <origin>', 'only from this origin, such as trigger/nightly')
    .option('--trigger <name>', 'only what came for this trigger, or it has answered')
    .option('--type <type>', 'only of this type')
    .action(async (options: ListOptions) => {
      const { origin, trigger, type } = options;
      const page = await (
        await clientOf(io, options)
      ).events.list({ ...pageQuery(options), origin, trigger, type });
      await print(io, options.output, page, () => eventTable(page.events, io.now()));
      tellMore(io, page);
    });
  apiCommand(events, 'get <uid>', 'show an event with the decision of each trigger').action(
    async (uid: string, options: ApiOptions) => {
      const event = await (await clientOf(io, options)).events.get(uid);
      await print(io, options.output, event, () => eventText(event, io.now()));
    },
  );
}

function eventTable(events: readonly EventResource[], now: number): string {
  return table(
    ['UID', 'TYPE', 'ORIGIN', 'RECEIVED', 'DECIDED'],
    events.map(({ uid, event, origin, receiveTime, decideTime }) => [
      uid,
      typeof event['type'] === 'string' ? event['type'] : '-',
      origin,
      when(receiveTime, now),
      decideTime === null ? 'not yet' : when(decideTime, now),
    ]),
  );
}

function eventText({ decisions, ...event }: EventDetailResource, now: number): string {
  const head = fields(event, now);
  if (decisions.length > 0) return `${head}\n\n${decisionTable(decisions)}`;
  return `${head}\n\n${event.decideTime === null ? 'No decision yet.' : 'No trigger considered it.'}`;
}

export function decisionTable(decisions: readonly DecisionResource[]): string {
  return table(
    ['TRIGGER', 'OUTCOME', 'EXECUTION', 'REASON'],
    decisions.map(({ trigger, outcome, execution, reason }) => [trigger, outcome, execution ?? '-', reason]),
  );
}
