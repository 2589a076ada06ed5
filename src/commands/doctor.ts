import type { Command } from 'commander';
import { isTappetError } from '../client/api.ts';
import { connectionOptions } from './api-command.ts';
import { findConfig } from './config-path.ts';
import { connect, dataDirOf, setting } from './connection.ts';
import type { ConnectionOptions } from './connection.ts';
import { errorWords } from './error-words.ts';
import { EXIT } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { ExitWith } from './io.ts';
import { clean } from './output.ts';

interface DoctorOptions extends ConnectionOptions {
  readonly config?: string;
}
interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly fix?: string;
}

export function addDoctor(program: Command, io: CliIo): void {
  connectionOptions(
    program
      .command('doctor')
      .description('check what the gateway needs, and say how to mend what is missing'),
  )
    .option('-c, --config <path>', 'configuration: a file or a folder (or TAPPET_CONFIG)')
    .action(async (options: DoctorOptions) => {
      const { diagnose } = await import('../main.ts');
      const configPath = await findConfig(io, options.config);
      const dataDir = options.dataDir ?? setting(io, 'TAPPET_DATA_DIR');
      const checks: Check[] = await diagnose({
        ...(configPath === undefined ? {} : { configPath }),
        ...(dataDir === undefined ? {} : { dataDir }),
        env: io.env,
      });
      checks.push(await checkGateway(io, options));
      for (const check of checks) await io.out(`${lineOf(check)}\n`);
      if (checks.some(({ ok }) => !ok)) throw new ExitWith(EXIT.failed);
    });
}

function lineOf({ name, ok, detail, fix }: Check): string {
  const mend = ok || fix === undefined ? '' : ` Fix: ${clean(fix)}`;
  return `${ok ? 'ok  ' : 'FAIL'}  ${name}: ${clean(detail)}${mend}`;
}

async function checkGateway(io: CliIo, options: ConnectionOptions): Promise<Check> {
  const name = 'gateway';
  try {
    await (await connect(io, options)).status();
    return { name, ok: true, detail: `answers (data folder ${await dataDirOf(io, options)})` };
  } catch (error) {
    io.signal.throwIfAborted();
    if (!isTappetError(error)) throw error;
    const { message, fix } = errorWords(error);
    return { name, ok: false, detail: message, ...(fix === undefined ? {} : { fix }) };
  }
}
