import type { Command } from 'commander';
import { configPath } from './config-path.ts';
import { setting } from './connection.ts';
import type { CliIo } from './io.ts';

interface ValidateOptions {
  readonly config?: string;
  readonly dataDir?: string;
  readonly printSchema?: boolean;
}

export function addValidate(program: Command, io: CliIo): void {
  program
    .command('validate')
    .description('check a configuration without starting anything; tells every mistake with its place')
    .option('-c, --config <path>', 'configuration: a file or a folder (or TAPPET_CONFIG)')
    .option('--data-dir <folder>', 'data folder of the gateway, where its secrets are (or TAPPET_DATA_DIR)')
    .option('--print-schema', 'print the JSON Schema of the configuration instead')
    .action(async ({ config, printSchema, ...options }: ValidateOptions) => {
      if (printSchema === true) {
        const { configJsonSchema } = await import('../config/json-schema.ts');
        await io.out(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
        return;
      }
      const path = await configPath(io, config);
      const { loadConfig } = await import('../config/load.ts');
      const dataDir = options.dataDir ?? setting(io, 'TAPPET_DATA_DIR');
      const { jobs, triggers, warnings } = await loadConfig(path, { env: io.env, dataDir });
      for (const warning of warnings) io.err(`warning: ${warning}`);
      io.err(`${path} is valid: ${count(jobs.size, 'job')}, ${count(triggers.size, 'trigger')}.`);
    });
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
