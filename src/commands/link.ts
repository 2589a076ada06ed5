import type { Command } from 'commander';
import { apiCommand, clientOf } from './api-command.ts';
import type { ApiOptions } from './api-command.ts';
import type { CliIo } from './io.ts';
import { print } from './output.ts';

export function addLink(program: Command, io: CliIo): void {
  apiCommand(program, 'link', 'print an address that opens the page in a browser, once').action(
    async (options: ApiOptions) => {
      const link = await (await clientOf(io, options)).links.create();
      await print(io, options.output, link, () => link.url);
      io.err('It works once, within ten minutes.');
    },
  );
}
