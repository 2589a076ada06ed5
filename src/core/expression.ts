import type { JsonObject, Json } from './json.ts';

/** The names that an expression may read. Which of them are allowed depends on where it stands. */
export const ROOTS = ['event', 'claims', 'captures', 'headers', 'trigger', 'task'] as const;
/** What the answer to a caller is made of. */
export const ANSWER_ROOTS = ['event', 'claims', 'execution'] as const;
export type Root = (typeof ROOTS)[number] | (typeof ANSWER_ROOTS)[number];
export const isRoot = (name: string): name is Root =>
  [...ROOTS, ...ANSWER_ROOTS].some((root) => root === name);
export type Scope = { readonly [R in Root]?: JsonObject };

/** A compiled bare CEL expression that must give a boolean (`when`, `require`). */
export interface Condition {
  readonly text: string;
  evaluate(scope: Scope): ConditionResult;
}
export type ConditionResult =
  | { readonly ok: true; readonly value: true }
  /** `clause` is the first operand of the top-level `&&` that was false, `values` what it read, by path. */
  | { readonly ok: true; readonly value: false; readonly clause: string; readonly values: JsonObject }
  | { readonly ok: false; readonly error: string; readonly clause: string; readonly values: JsonObject };

/** A compiled string with `${{ }}` parts. */
export interface Template {
  readonly text: string;
  /** The roots that it reads; empty for plain text. */
  readonly roots: readonly Root[];
  render(scope: Scope): TemplateResult;
}
export type TemplateResult =
  /** `raw` is the value itself where the whole text is one `${{ }}`, else the text. */
  | { readonly ok: true; readonly value: string; readonly raw: Json }
  | { readonly ok: false; readonly error: string; readonly clause: string };

/** The compiler, as the composition root hands it to those who may not import CEL. Errors: EXPRESSION_INVALID. */
export interface Expressions {
  condition(text: string, roots: readonly Root[]): Condition;
  template(text: string, roots: readonly Root[]): Template;
}
