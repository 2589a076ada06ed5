import { Command, CommanderError } from 'commander';
import { errorText, isTappetError } from '../client/api.ts';
import { addDoctor } from './doctor.ts';
import { errorWords } from './error-words.ts';
import { addEngines } from './engines.ts';
import { addEvents } from './events.ts';
import { addExecutions } from './executions.ts';
import { EXIT, exitCodeOf, EXIT_CODES_HELP } from './exit-codes.ts';
import { ExitWith } from './io.ts';
import type { CliIo } from './io.ts';
import { addJobs } from './jobs.ts';
import { addLink } from './link.ts';
import { addLogs } from './logs.ts';
import { addSecrets } from './secrets.ts';
import { addServe } from './serve.ts';
import { addTriggers } from './triggers.ts';
import { addValidate } from './validate.ts';

/** The whole command line; nothing in it ends the process. */
export function createProgram(io: CliIo): Command {
  const program = new Command('tappet')
    .description('Runs containers when something happens: a schedule, a verified call.')
    .version(io.version)
    .exitOverride()
    // Else `--version` of a command would be the program's own.
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for what can be written here)')
    .configureOutput({
      writeOut: (text) => void io.out(text),
      writeErr: (text) => io.err(text.trimEnd()),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('afterAll', EXIT_CODES_HELP);
  addServe(program, io);
  addValidate(program, io);
  addJobs(program, io);
  addExecutions(program, io);
  addTriggers(program, io);
  addEvents(program, io);
  addEngines(program, io);
  addLogs(program, io);
  addLink(program, io);
  addSecrets(program, io);
  addDoctor(program, io);
  return program;
}

/** Runs one command line (without node and script) and gives its exit code. Never rejects. */
export async function runCli(args: readonly string[], io: CliIo): Promise<number> {
  try {
    await createProgram(io).parseAsync([...args], { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    return codeOf(error, io);
  }
}

function codeOf(error: unknown, io: CliIo): number {
  // Its help or its complaint is printed by then; called without a command it prints the help as an error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof ExitWith) return error.code;
  if (io.signal.aborted) return EXIT.interrupted;
  if (isTappetError(error)) {
    const { message, fix } = errorWords(error);
    io.err(`error: ${cleanLines(message)}`);
    if (fix !== undefined) io.err(cleanLines(fix));
    return exitCodeOf(error.code);
  }
  io.err(`error: ${cleanLines(errorText(error))}`);
  return EXIT.failed;
}

/** A message may have lines, but nothing else that moves the cursor: parts of it come from others. */
function cleanLines(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, ' ');
}
