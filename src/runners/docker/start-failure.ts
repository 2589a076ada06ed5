import { TappetError } from '../../core/errors.ts';
import type { ContainerSpec } from '../../core/runner.ts';

/** Why a command cannot be run, as found in the container before its start. */
export type CommandProblem = 'missing' | 'not-executable';

const COMMAND_FIX = 'Check "command" and "args" of the job: the first word is the program.';

/** CONTAINER_START_FAILED for a program that is not there or may not be run. */
export function commandFailure(spec: ContainerSpec, command: string, problem: CommandProblem): TappetError {
  const where = `The command "${command}"`;
  const message =
    problem === 'missing'
      ? `${where} is not in the image "${spec.image}".`
      : `${where} is in the image "${spec.image}", but it is no file that may be executed.`;
  return new TappetError('CONTAINER_START_FAILED', message, { fix: COMMAND_FIX });
}

/** CONTAINER_START_FAILED with the engine's words made readable. */
export function startFailure(spec: ContainerSpec, words: string): TappetError {
  const command = /exec: "([^"]+)"/.exec(words)?.[1];
  if (command !== undefined && /not found in \$PATH|no such file or directory/i.test(words)) {
    return commandFailure(spec, command, 'missing');
  }
  if (command !== undefined && /permission denied|is a directory/i.test(words)) {
    return commandFailure(spec, command, 'not-executable');
  }
  const text = plain(words);
  return new TappetError(
    'CONTAINER_START_FAILED',
    `The container could not be started: ${text}`,
    fixFor(text),
  );
}

/** Without the names of the layers that passed the error on. */
function plain(words: string): string {
  return words
    .replace(
      /^.*(OCI runtime create failed|container create|unable to start container process|runc create failed): /i,
      '',
    )
    .replace(/: unknown$/, '')
    .trim();
}

function fixFor(text: string): { fix?: string } {
  if (/range of cpus/i.test(text)) return { fix: 'Lower "cpu" of the job to what the engine’s machine has.' };
  if (/bind source path does not exist/i.test(text))
    return { fix: 'Make the folder on the engine’s machine, or correct "binds" of the job.' };
  if (/no command specified/i.test(text))
    return { fix: 'The image names no program: give the job a "command".' };
  if (/unable to find user/i.test(text))
    return { fix: 'Use a user that the image has, or a number, as "user" of the job.' };
  if (/no space left/i.test(text))
    return { fix: 'Make room on the engine’s disk (docker system df, docker system prune).' };
  return {};
}
