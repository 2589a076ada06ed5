import type { Command } from 'commander';
import { isTappetError } from '../client/api.ts';
import type { Json, JsonObject } from '../client/api.ts';
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
      checks.push(...(await checkGateway(io, options)));
      for (const check of checks) await io.out(`${lineOf(check)}\n`);
      if (checks.some(({ ok }) => !ok)) throw new ExitWith(EXIT.failed);
    });
}

function lineOf({ name, ok, detail, fix }: Check): string {
  const end = /[.!?]$/.test(detail) ? '' : '.';
  const mend = ok || fix === undefined ? '' : `${end} Fix: ${clean(fix)}`;
  return `${ok ? 'ok  ' : 'FAIL'}  ${name}: ${clean(detail)}${mend}`;
}

/** That it answers, what it cannot write now, and each source that waits for something. */
async function checkGateway(io: CliIo, options: ConnectionOptions): Promise<Check[]> {
  const name = 'gateway';
  try {
    const status = await (await connect(io, options)).status();
    const answers = { name, ok: true, detail: `answers (data folder ${await dataDirOf(io, options)})` };
    return [answers, ...unwritable(status), ...waitingSources(status)];
  } catch (error) {
    io.signal.throwIfAborted();
    if (!isTappetError(error)) throw error;
    const { message, fix } = errorWords(error);
    return [{ name, ok: false, detail: message, ...(fix === undefined ? {} : { fix }) }];
  }
}

function unwritable({ health }: JsonObject): Check[] {
  const problems = isObject(health) && Array.isArray(health['problems']) ? health['problems'] : [];
  return problems
    .filter(isObject)
    .map(({ part, message }) => ({ name: word(part), ok: false, detail: word(message) }));
}

function waitingSources(status: JsonObject): Check[] {
  const { sources } = status;
  const failed = isObject(sources) && Array.isArray(sources['failed']) ? sources['failed'] : [];
  return failed.filter(isObject).map(({ kind, name, message }) => ({
    name: `source ${word(name)} (${word(kind)})`,
    ok: false,
    detail: `waits: ${word(message)}`,
  }));
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const word = (value: Json | undefined): string =>
  typeof value === 'string' ? value : JSON.stringify(value ?? null);
