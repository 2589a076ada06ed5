import { argsTotalProblem, envTotalProblem, envValueProblem, textsOf, wordProblem } from '../core/env.ts';
import { errorText } from '../core/errors.ts';
import type { AttemptKey, Execution, RenderedSpec } from '../core/execution.ts';
import { ROOTS } from '../core/expression.ts';
import type { Expressions, Scope } from '../core/expression.ts';
import type { JobSpec } from '../core/job.ts';
import { inputAddress, isAddress, outputAddress } from '../core/staging.ts';
import type { ParsedAddress } from '../core/staging.ts';

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
    // Not replaced by nothing: what stands around one could make a new mark.
    if (!text.replaceAll(ESCAPED_MARK, '\0').includes(MARK)) return text.replaceAll(ESCAPED_MARK, () => MARK);
    const result = at(path, () => {
      const template = expressions.template(text, ROOTS);
      namesTask ||= template.roots.includes('task');
      return template.render(scope);
    });
    if (!result.ok) throw new Error(`${path}: ${result.error} (in ${result.clause})`);
    return result.value;
  };
  try {
    const env = Object.entries(textsOf(spec.env)).map(
      ([name, text]) => [name, render(`env.${name}`, text)] as const,
    );
    const args = spec.args?.map((text, i) => render(`args[${i}]`, text)) ?? null;
    const rendered = { env: Object.fromEntries(env), args, ...renderAddresses(spec, render) };
    const problem = sizeProblem(rendered, spec.command);
    if (problem !== null) throw new Error(problem);
    return { ok: true, rendered, namesTask };
  } catch (error) {
    return { ok: false, message: `The task could not be prepared: ${errorText(error)}` };
  }
}

type Render = (path: string, text: string) => string;

function renderAddresses(
  { inputs, outputs }: JobSpec,
  render: Render,
): Pick<RenderedSpec, 'inputs' | 'outputs'> {
  const address = (path: string, text: string, parse: (text: string) => ParsedAddress): string => {
    const value = render(path, text);
    const parsed = parse(value);
    if (!parsed.ok) throw new Error(`${path}: ${parsed.problem}`);
    return value;
  };
  const from = inputs?.map((input, i) =>
    isAddress(input.from) ? address(`inputs[${i}].from`, input.from, inputAddress) : null,
  );
  const to = outputs?.map((output, i) =>
    address(`outputs[${i}].to`, output.to, (text) => outputAddress(output.from, text)),
  );
  return { ...(from === undefined ? {} : { inputs: from }), ...(to === undefined ? {} : { outputs: to }) };
}

/** What no container can be given, with its place; null = nothing. */
function sizeProblem({ env, args }: RenderedSpec, command?: readonly string[]): string | null {
  for (const [name, value] of Object.entries(env)) {
    const problem = envValueProblem(value);
    if (problem !== null) return `env.${name} ${problem}`;
  }
  for (const [i, arg] of (args ?? []).entries()) {
    const problem = wordProblem(arg);
    if (problem !== null) return `args[${i}] ${problem}`;
  }
  return argsTotalProblem(args ?? [], command) ?? envTotalProblem(env);
}

/** Adds the place to what `fn` throws. */
function at<T>(path: string, fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    throw new Error(`${path}: ${errorText(error)}`, { cause: error });
  }
}
