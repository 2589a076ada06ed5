import type { CelValue } from '@bufbuild/cel';
import type { Condition, ConditionResult, Root, Scope } from '../core/expression.ts';
import { describe } from './explain.ts';
import type { Bindings, Program } from './program.ts';
import { bind, compileOperands } from './program.ts';

/**
 * Compiles a bare CEL expression that must give true or false. The operands of its top-level `&&` are compiled one
 * by one, so that a "no" names the operand that said it without a second evaluation.
 * Errors: EXPRESSION_INVALID.
 */
export function compileCondition(text: string, roots: readonly Root[]): Condition {
  const operands = compileOperands(text, roots);
  const read = [...new Set(operands.flatMap((operand) => operand.roots))];
  return Object.freeze({
    text: text.trim(),
    evaluate: (scope: Scope) => evaluate(operands, bind(scope, read), scope),
  });
}

/** CEL's `&&`: a false operand decides, whatever the others are; else the first error does. */
function evaluate(operands: readonly Program[], bindings: Bindings, scope: Scope): ConditionResult {
  let failed: ConditionResult | undefined;
  for (const operand of operands) {
    const result = operand.run(bindings, scope);
    if (result.ok && result.value === true) continue;
    if (result.ok && result.value === false) {
      return { ok: true, value: false, clause: operand.text, values: operand.values(scope) };
    }
    const error = result.ok ? notBool(result.value) : result.error;
    failed ??= { ok: false, error, clause: operand.text, values: operand.values(scope) };
  }
  return failed ?? { ok: true, value: true };
}

function notBool(value: CelValue): string {
  return `it gives ${describe(value)}, not true or false`;
}
