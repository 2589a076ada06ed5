import type { z } from 'zod';
import { errorText, TappetError } from '../core/errors.ts';
import type { ServerSettings } from '../core/config.ts';
import type { Condition, Expressions, Root, Template } from '../core/expression.ts';
import type { Secrets } from '../core/secrets.ts';
import type { PathSegment } from './documents.ts';
import type { Problems } from './problems.ts';

type Path = readonly PathSegment[];

/** What compiling one part of the configuration needs. */
export interface CompileContext {
  readonly problems: Problems;
  readonly warnings: string[];
  readonly expressions: Expressions;
  readonly secrets: Secrets;
  readonly folder: string;
  readonly server: ServerSettings;
  /** As written, also those with errors, so that one error does not cause others. */
  readonly jobNames: readonly string[];
  readonly issuerNames: readonly string[];
}

/** Checks one part; undefined where it has errors, which are reported. */
export function parsePart<T extends z.ZodType>(
  schema: T,
  value: unknown,
  path: Path,
  problems: Problems,
): z.output<T> | undefined {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  problems.addIssues(path, result.error.issues);
  return undefined;
}

export function compileTemplate(
  context: CompileContext,
  text: string,
  roots: readonly Root[],
  path: Path,
): Template | null {
  return reported(context, path, () => context.expressions.template(text, roots));
}

export function compileCondition(
  context: CompileContext,
  text: string,
  roots: readonly Root[],
  path: Path,
): Condition | null {
  if (text.includes('${{')) {
    context.problems.add(path, 'is an expression as a whole: write it without ${{ }}');
    return null;
  }
  return reported(context, path, () => context.expressions.condition(text, roots));
}

function reported<T>(context: CompileContext, path: Path, make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof TappetError)) throw error;
    context.problems.add(path, errorText(error));
    return null;
  }
}
