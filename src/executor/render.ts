import { errorText } from '../core/errors.ts';
import type { AttemptKey, Execution, RenderedSpec } from '../core/execution.ts';
import { ROOTS } from '../core/expression.ts';
import type { Expressions, Scope } from '../core/expression.ts';

export type Rendering =
  /** `namesTask`: something differs from attempt to attempt, so that the result is worth storing. */
  | { readonly ok: true; readonly rendered: RenderedSpec; readonly namesTask: boolean }
  /** `message` says which part of the spec failed and why. */
  | { readonly ok: false; readonly message: string };

/** What every template starts with, also the escaped form of a literal one. */
const MARK = '${{';

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
    const template = expressions.template(text, ROOTS);
    namesTask ||= template.roots.includes('task');
    const result = template.render(scope);
    if (!result.ok) throw new RenderFailure(`${path}: ${result.error} (in ${result.clause})`);
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

class RenderFailure extends Error {}
