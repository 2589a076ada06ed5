import type { z } from 'zod';
import type { Preset } from '../core/auth.ts';
import { errorText, TappetError } from '../core/errors.ts';
import type { ServerSettings } from '../core/config.ts';
import type { Condition, Expressions, Root, Template } from '../core/expression.ts';
import { suggest } from '../lib/nearest.ts';
import type { PathSegment } from './positions.ts';
import type { Report } from './problems.ts';
import type { SecretReads } from './secret-reads.ts';

type Path = readonly PathSegment[];

/** `event.object`, `event.file` and `event.body`, each with the place of the first input that names it. */
export type EventWords = ReadonlyMap<string, number>;

/** What compiling one part of the configuration needs. */
export interface CompileContext {
  /** Of the file in which this part stands. */
  readonly report: Report;
  readonly warnings: string[];
  readonly expressions: Expressions;
  readonly secrets: SecretReads;
  readonly folder: string;
  readonly server: ServerSettings;
  /** As written, also those with errors, so that one error does not cause others; undefined = not all are known. */
  readonly jobNames: ReadonlySet<string> | undefined;
  readonly issuerNames: ReadonlySet<string> | undefined;
  readonly issuerPresets: ReadonlyMap<string, Preset>;
  readonly connectionNames: ReadonlySet<string> | undefined;
  readonly receiverNames: ReadonlySet<string> | undefined;
  /** By job: which of an event's things it takes as inputs. As written too. */
  readonly eventWords: ReadonlyMap<string, EventWords>;
  /** By roots and text: ten thousand triggers mostly map alike, and compiling takes 0.1 ms. */
  readonly templates: Map<string, Template>;
  /** What to write instead of a name that is not there. */
  readonly suggest: (name: string, known: ReadonlySet<string>) => string;
}

/** What may be read where an event is at hand, and where a task is known too. */
export const EVENT_ROOTS: readonly Root[] = ['event', 'claims', 'trigger'];
export const TASK_ROOTS: readonly Root[] = [...EVENT_ROOTS, 'task'];

/** Each suggestion compares with every name: ten thousand among ten thousand would take minutes. */
const MAX_SUGGESTIONS = 50;

export function suggestions(): CompileContext['suggest'] {
  let left = MAX_SUGGESTIONS;
  return (name, known) => {
    left--;
    return left < 0 ? 'write the name of one that is there' : suggest(name, [...known]);
  };
}

/** Checks one part; undefined where it has errors, which are reported. */
export function parsePart<T extends z.ZodType>(
  schema: T,
  value: unknown,
  path: Path,
  report: Report,
): z.output<T> | undefined {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  report.addIssues(path, result.error.issues);
  return undefined;
}

/** Judged by the names alone, whether or not what they name is right. `what` and where such names stand are for the message. */
export function checkName(
  name: string,
  known: ReadonlySet<string> | undefined,
  path: Path,
  [what, where]: readonly [string, string],
  { report, suggest: nearest }: CompileContext,
): void {
  if (known === undefined || known.has(name)) return;
  report.add(path, `there is no ${what} "${name}"${where}: ${nearest(name, known)}`);
}

export function checkConnectionName(name: string, path: Path, context: CompileContext): void {
  checkName(name, context.connectionNames, path, ['connection', ' under "connections"'], context);
}

export function compileTemplate(
  context: CompileContext,
  text: string,
  roots: readonly Root[],
  path: Path,
): Template | null {
  const key = `${roots.join()} ${text}`;
  const known = context.templates.get(key);
  if (known !== undefined) return known;
  const made = reported(context, path, () => context.expressions.template(text, roots));
  if (made !== null && made.roots.length > 0) context.templates.set(key, made);
  return made;
}

export function compileCondition(
  context: CompileContext,
  text: string,
  roots: readonly Root[],
  path: Path,
): Condition | null {
  if (text.includes('${{')) {
    context.report.add(path, 'is an expression as a whole: write it without ${{ }}');
    return null;
  }
  return reported(context, path, () => context.expressions.condition(text, roots));
}

function reported<T>(context: CompileContext, path: Path, make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof TappetError)) throw error;
    context.report.add(path, errorText(error));
    return null;
  }
}
