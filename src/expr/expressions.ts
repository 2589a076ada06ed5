import type { Expressions } from '../core/expression.ts';
import { compileCondition } from './condition.ts';
import { compileTemplate } from './template.ts';

export { pathsRead } from './program.ts';

/** The CEL compiler behind the port. Whole JSON numbers are ints; regular expressions are RE2 (linear time). */
export function createExpressions(): Expressions {
  return { condition: compileCondition, template: compileTemplate };
}
