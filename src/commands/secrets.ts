import { createReadStream } from 'node:fs';
import { Option } from 'commander';
import type { Command } from 'commander';
import { errorText } from '../client/api.ts';
import type { SecretStore } from '../secrets/secret-store.ts';
import { countingNumber } from './api-command.ts';
import { dataDirOf } from './connection.ts';
import { EXIT } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { ExitWith } from './io.ts';
import { fields, FORMATS, print, table, when } from './output.ts';
import type { Format } from './output.ts';
import { readBytes } from './read-secret.ts';

interface SecretsOptions {
  readonly dataDir?: string;
}
interface OutputOptions extends SecretsOptions {
  readonly output: Format;
}
interface SetOptions extends OutputOptions {
  readonly fromFile?: string;
  readonly keepNewline?: boolean;
}
interface DeleteOptions extends SecretsOptions {
  readonly version?: number;
}

/** These work on the data folder itself, whether a gateway runs or not: a value never travels. */
export function addSecrets(program: Command, io: CliIo): void {
  const secrets = program
    .command('secrets')
    .description('values that are stored encrypted in the data folder');
  const outputOption = (): Option =>
    new Option('-o, --output <format>', 'how to print').choices(FORMATS).default('table');
  dataDirOption(
    secrets
      .command('set <name>')
      .description('store a value as the next version; asks for it, or reads standard input'),
  )
    .option('--from-file <path>', 'read the value from this file instead')
    .option('--keep-newline', 'keep a line end that closes the value (an SSH key needs it); else one is cut')
    .addOption(outputOption())
    .action(async (name: string, options: SetOptions) => set(io, name, options));
  dataDirOption(secrets.command('list').description('list names and versions, never values'))
    .addOption(outputOption())
    .action(async (options: OutputOptions) => list(io, options));
  dataDirOption(secrets.command('delete <name>').description('delete a secret, or one version of it'))
    .option('--version <n>', 'this version alone', countingNumber)
    .action(async (name: string, options: DeleteOptions) => remove(io, name, options));
}

function dataDirOption(command: Command): Command {
  return command.option('--data-dir <folder>', 'data folder of the gateway (or TAPPET_DATA_DIR)');
}

async function storeOf(io: CliIo, options: SecretsOptions): Promise<{ store: SecretStore; dataDir: string }> {
  const { SecretStore } = await import('../secrets/secret-store.ts');
  const dataDir = await dataDirOf(io, options);
  return { store: new SecretStore({ dataDir, env: io.env }), dataDir };
}

async function set(io: CliIo, name: string, options: SetOptions): Promise<void> {
  const given = await valueOf(io, name, options);
  const { store, dataDir } = await storeOf(io, options);
  const createTime = nowOf(io);
  const value = options.keepNewline === true ? given : withoutLineEnd(given);
  const { version, madeKey } = await store.add(name, value, createTime);
  const stored = { name, version, createTime };
  await print(io, options.output, stored, () => fields(stored, io.now()));
  io.err(`Stored in the data folder ${dataDir}. The configuration names it as { "secret": "${name}" }.`);
  if (madeKey !== undefined) {
    io.err(
      `Its key was made just now: ${madeKey}. Keep a copy of it elsewhere: without it no secret can be read.`,
    );
  }
}

async function valueOf(io: CliIo, name: string, { fromFile }: SetOptions): Promise<Uint8Array> {
  if (fromFile === undefined) {
    return io.readSecret(`Value of ${name} (one line, not shown; more lines with --from-file): `);
  }
  try {
    return await readBytes(createReadStream(fromFile));
  } catch (error) {
    io.err(`error: the file ${fromFile} cannot be read: ${errorText(error)}`);
    throw new ExitWith(EXIT.usage);
  }
}

function withoutLineEnd(value: Uint8Array): Uint8Array {
  const LF = 10;
  const CR = 13;
  if (value.at(-1) !== LF) return value;
  return value.subarray(0, value.at(-2) === CR ? -2 : -1);
}

async function list(io: CliIo, options: OutputOptions): Promise<void> {
  const { store, dataDir } = await storeOf(io, options);
  const secrets = await store.list();
  const row = (name: string, version: number, createTime: string | null): string[] => [
    name,
    String(version),
    createTime === null ? 'damaged' : when(createTime, io.now()),
  ];
  await print(io, options.output, { secrets }, () =>
    table(
      ['NAME', 'VERSION', 'CREATED'],
      secrets.flatMap(({ name, versions }) =>
        versions.map(({ version, createTime }) => row(name, version, createTime)),
      ),
    ),
  );
  if (secrets.length === 0) io.err(`There are no secrets in the data folder ${dataDir}.`);
}

async function remove(io: CliIo, name: string, options: DeleteOptions): Promise<void> {
  const { store } = await storeOf(io, options);
  const removed = await store.remove(name, options.version, nowOf(io));
  io.err(`Deleted ${name}, version ${removed.join(', ')}.`);
  const left = (await store.list()).find((one) => one.name === name)?.versions.at(-1);
  if (left !== undefined) io.err(`The newest is now version ${left.version}.`);
}

function nowOf(io: CliIo): string {
  return new Date(io.now()).toISOString();
}
