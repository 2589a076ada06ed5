import type { Command } from 'commander';
import { TappetError } from '../client/api.ts';
import { apiCommand, clientOf } from './api-command.ts';
import type { ApiOptions } from './api-command.ts';
import { EXIT } from './exit-codes.ts';
import { ExitWith } from './io.ts';
import type { CliIo } from './io.ts';
import { clean, fields, print, table } from './output.ts';

type ForgetOptions = ApiOptions & { readonly yes?: boolean };

export function addEngines(program: Command, io: CliIo): void {
  const engines = program.command('engines').description('container engines that attempts are open on');
  apiCommand(engines, 'list', 'list the engines that attempts are open on').action(
    async (options: ApiOptions) => {
      const page = await (await clientOf(io, options)).engines.list();
      await print(io, options.output, page, () =>
        table(
          ['NAME', 'OPEN'],
          page.engines.map(({ name, openAttempts }) => [name, String(openAttempts)]),
        ),
      );
    },
  );
  apiCommand(engines, 'forget <name>', 'end what is open on an engine that is gone for good')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: ForgetOptions) => forget(io, name, options));
}

async function forget(io: CliIo, name: string, options: ForgetOptions): Promise<void> {
  const client = await clientOf(io, options);
  if (options.yes !== true) {
    const { engines } = await client.engines.list();
    await confirm(io, name, engines.find((one) => one.name === name)?.openAttempts);
  }
  const forgotten = await client.engines.forget(name);
  await print(io, options.output, forgotten, () => fields(forgotten, io.now()));
  const { endedAttempts } = forgotten;
  const ended = endedAttempts === 1 ? '1 attempt has' : `${endedAttempts} attempts have`;
  // What ended here may run on there, and would run twice.
  const again =
    endedAttempts === 0
      ? ''
      : ' When you know that nothing runs there any more, run again what was not done: tappet executions rerun NAME';
  io.err(`${ended} ended as CONTAINER_LOST.${again}`);
}

/** Errors: NOT_FOUND where nothing is open there, so that nobody is asked for nothing. */
async function confirm(io: CliIo, name: string, open: number | undefined): Promise<void> {
  if (open === undefined)
    throw new TappetError('NOT_FOUND', `No attempt is open on a container engine "${name}".`, {
      fix: 'Those that have some: tappet engines list',
    });
  const attempts = open === 1 ? '1 attempt is' : `${open} attempts are`;
  io.err(`${attempts} open on ${clean(name)}. They end as CONTAINER_LOST and are not tried again: if that`);
  io.err(
    'engine still runs somewhere, so may their containers, and what they do there is not taken any more.',
  );
  const answer = await io.ask('Is it gone for good? Type yes to go on: ');
  if (answer === undefined) {
    io.err('error: nobody is there to be asked: say --yes where the engine is gone for good');
    throw new ExitWith(EXIT.usage);
  }
  if (answer.trim() === 'yes') return;
  io.err('Nothing was changed.');
  throw new ExitWith(EXIT.failed);
}
