import { errorText } from '../core/errors.ts';
import type { AttemptKey, Execution, RenderedSpec } from '../core/execution.ts';
import { ROOTS } from '../core/expression.ts';
import type { Expressions, Scope } from '../core/expression.ts';

export type Rendering =
  /** `namesTask`: something differs from attempt to attempt, so that the result is worth storing. */
  | { readonly ok: true; readonly rendered: RenderedSpec; readonly namesTask: boolean }
  /** `message` says which part of the spec failed and why. */
  | { readonly ok: false; readonly message: string };

/** What every expression in a text starts with. */
const MARK = '${{';
/** What stands for the mark itself, in text that came from outside and is only text. */
const ESCAPED_MARK = '$${{';

/** Renders what an execution's frozen spec left for the attempt. Pure. */
export function renderSpec(
  execution: Pick<Execution, 'spec' | 'context'>,
  key: AttemptKey,
  expressions: Expressions,
): Rendering {
  const { spec, context } = execution;
  const task = { index: key.index, count: spec.taskCount, attempt: key.attempt };
  const scope: Scope = { ...context, task };
  let namesTask = false;
  const render = (path: string, text: string): string => {
    if (!text.includes(MARK)) return text;
    // Text from an event may be far longer than the compiler takes of an expression, and needs no compiler.
    if (!text.replaceAll(ESCAPED_MARK, '').includes(MARK)) return text.replaceAll(ESCAPED_MARK, () => MARK);
    const result = at(path, () => {
      const template = expressions.template(text, ROOTS);
      namesTask ||= template.roots.includes('task');
      return template.render(scope);
    });
    if (!result.ok) throw new Error(`${path}: ${result.error} (in ${result.clause})`);
    return result.value;
  };
  try {
    const env = Object.entries(spec.env).map(([name, text]) => [name, render(`env.${name}`, text)] as const);
    const args = spec.args?.map((text, i) => render(`args[${i}]`, text)) ?? null;
    return { ok: true, rendered: { env: Object.fromEntries(env), args }, namesTask };
  } catch (error) {
    return { ok: false, message: `The task could not be prepared: ${errorText(error)}` };
  }
}

/** Adds the place to what `fn` throws. */
function at<T>(path: string, fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    throw new Error(`${path}: ${errorText(error)}`, { cause: error });
  }
}
