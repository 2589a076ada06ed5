import type { AnswerTemplates } from '../../src/core/config.ts';
import type { CloudEvent } from '../../src/core/event.ts';
import { flattenEvent } from '../../src/core/event.ts';
import type { Scope } from '../../src/core/expression.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import type { ExecutionResult } from '../../src/core/source.ts';
import { NOT_KEPT } from './problem.ts';

export interface AnswerScope {
  readonly event: CloudEvent;
  readonly claims: JsonObject;
  /** The one that the event has caused; absent where it has caused none. */
  readonly execution: string | undefined;
  /** Absent also where the execution is kept no longer and no word reads it. */
  readonly result: ExecutionResult | undefined;
}
export type Rendered =
  | { readonly ok: true; readonly response: Response }
  /** `problem` is for the log: what the gateway could not make of the trigger's answer. */
  | { readonly ok: false; readonly problem: string };

const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** The answer as the trigger words it, over `event`, `claims` and `execution`. */
export function renderAnswer(
  templates: AnswerTemplates,
  { event, claims, execution, result }: AnswerScope,
  usual: number,
): Rendered {
  const scope: Scope = { event: flattenEvent(event), claims, execution: executionScope(execution, result) };
  try {
    const status = statusOf(templates, scope) ?? usual;
    const headers = new Headers(NOT_KEPT);
    for (const [name, template] of templates.headers) {
      const value = template.render(scope);
      if (!value.ok) throw new Error(`headers.${name}: ${value.error}`);
      headers.set(name, value.value);
    }
    const body = templates.body?.(scope);
    return { ok: true, response: responseOf(status, headers, body) };
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** All names are there, so that an expression may ask whether there was an execution at all. */
function executionScope(name: string | undefined, result: ExecutionResult | undefined): JsonObject {
  const none = { state: null, ended: false, reason: null, message: null, output: null, outputs: [] };
  if (result === undefined) return { name: name ?? null, ...none };
  const { execution, output = null, outputs = [], ...rest } = result;
  return { name: execution, ...rest, output, outputs };
}

function statusOf({ status }: AnswerTemplates, scope: Scope): number | undefined {
  if (status === undefined || typeof status === 'number') return status;
  const rendered = status.render(scope);
  if (!rendered.ok) throw new Error(`status: ${rendered.error}`);
  const value = Number(rendered.value);
  if (Number.isInteger(value) && value >= 200 && value <= 599) return value;
  throw new Error(`status: "${rendered.value}" is no HTTP status from 200 to 599`);
}

function responseOf(status: number, headers: Headers, body: Json | undefined): Response {
  if (body === undefined || NO_BODY.has(status)) return new Response(null, { status, headers });
  const text = typeof body === 'string';
  if (!headers.has('content-type'))
    headers.set('content-type', text ? 'text/plain; charset=utf-8' : 'application/json');
  return new Response(text ? body : JSON.stringify(body), { status, headers });
}
