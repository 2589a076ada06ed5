import { TappetError } from '../../core/errors.ts';
import type { ContainerSpec } from '../../core/runner.ts';
import { holdsInOrder } from './words.ts';

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

/** What an engine says that is about to end, or whose disk is full: whatever the status, it may pass. */
const PASSING_WORDS =
  /transport is closing|context (canceled|deadline exceeded)|connection refused|shutting down|no space left/i;
/** What is wrong with the job itself though the status says 500, as Podman's always does. */
const LASTING_WORDS =
  /exec: "|executable file|exec format error|range of cpus|bind source path does not exist|no command specified|command that was not found|unable to find user|invalid (argument|reference|mount|value|container)/i;
/** Client errors that say "not now". */
const PASSING_STATUS = new Set([408, 409, 429]);

/**
 * The engine would not create or start it, with its words made readable: CONTAINER_START_FAILED where the job must be
 * mended, ENGINE_REFUSED where the same may work later. A 5xx that nobody knows is the engine's affair, not the job's.
 */
export function startFailure(spec: ContainerSpec, status: number, words: string): TappetError {
  if (!isLasting(status, words)) {
    const text = plain(words);
    const message = `The container engine could not start the container (HTTP ${status}): ${text}`;
    return new TappetError('ENGINE_REFUSED', message, fixFor(text));
  }
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

/** What of the words means that the same files will not fit the same image the next time either. */
const MISPLACED_WORDS =
  /not a directory|is a directory|cannot overwrite|file exists|no such file or directory|file name too long|read-only/i;

/** The engine would not take the files: CONTAINER_START_FAILED where their places are wrong, else ENGINE_REFUSED. */
export function filesFailure(spec: ContainerSpec, status: number, words: string): TappetError {
  const text = plain(words);
  if (status !== 404 && !PASSING_WORDS.test(text) && MISPLACED_WORDS.test(text))
    return new TappetError(
      'CONTAINER_START_FAILED',
      `A file could not be put into a container of the image "${spec.image}": ${text}`,
      { fix: 'Choose a place ("to") that the image leaves free.' },
    );
  const message = `The container engine did not take the files of container ${spec.name} (HTTP ${status}): ${text}`;
  return new TappetError('ENGINE_REFUSED', message, fixFor(text));
}

const isLastingText = (words: string): boolean =>
  LASTING_WORDS.test(words) || holdsInOrder(words, 'statfs ', 'no such file');

function isLasting(status: number, words: string): boolean {
  if (PASSING_WORDS.test(words)) return false;
  return (status >= 400 && status < 500 && !PASSING_STATUS.has(status)) || isLastingText(words);
}

const LAYER =
  /(?:Error processing tar file\(exit status \d+\)|copier: put|OCI runtime create failed|container create|unable to start container process|runc create failed): /gi;

/** Without the names of the layers that passed the error on, which stand in the first line. */
function plain(words: string): string {
  const [line = ''] = words.split('\n', 1);
  const last = [...line.matchAll(LAYER)].at(-1);
  const own = last === undefined ? words : words.slice(last.index + last[0].length);
  return own.replace(/: unknown$/, '').trim();
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
