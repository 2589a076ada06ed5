import type { AnswerTemplates, WebhookSourceSpec } from '../../src/core/config.ts';
import { errorText } from '../../src/core/errors.ts';
import type { NewEvent } from '../../src/core/event.ts';
import type { JsonObject } from '../../src/core/json.ts';
import type { ExecutionResult, SourceContext } from '../../src/core/source.ts';
import { renderAnswer } from './answer.ts';
import type { EventAnswer } from './event-answer.ts';

export interface Accepted {
  readonly events: readonly NewEvent[];
  readonly answers: readonly EventAnswer[];
  readonly batch: boolean;
  readonly context: SourceContext;
  /** Of the call, kept as long as the answer takes. */
  readonly bytes: number;
  /** Anyone may call, so nobody hears more than how it ended and what it handed back. */
  readonly open: boolean;
}

/**
 * Words the answer to a call whose events are durable: at once, or when what they have started has ended. By then the
 * answer says that they were taken, whatever goes wrong here.
 */
export class Answering {
  readonly #trigger: string;
  readonly #waitMs: number | undefined;
  readonly #templates: AnswerTemplates | undefined;
  #stopped = new AbortController();

  constructor(trigger: string, { answer }: WebhookSourceSpec, templates: AnswerTemplates | undefined) {
    if (answer !== undefined && templates === undefined)
      throw new TypeError(`the answer of ${trigger} is not compiled`);
    this.#trigger = trigger;
    this.#waitMs = answer?.waitMs;
    this.#templates = templates;
  }

  start(): void {
    this.#stopped = new AbortController();
  }

  /** Whoever waits hears now what is known. */
  stop(): void {
    this.#stopped.abort();
  }

  async respond(accepted: Accepted): Promise<Response> {
    const names = accepted.answers.flatMap(({ executions }) => executions);
    const results = await this.#results(names, accepted);
    const allEnded = results !== undefined && results.length > 0 && results.every(({ ended }) => ended);
    const usual = allEnded ? 200 : 202;
    return this.#worded(accepted, results, usual) ?? plain(accepted, results, usual);
  }

  /** undefined = nobody asked for them, or they cannot be had. */
  async #results(
    names: readonly string[],
    { context, bytes }: Pick<Accepted, 'context' | 'bytes'>,
  ): Promise<readonly ExecutionResult[] | undefined> {
    if (this.#templates === undefined || names.length === 0) return undefined;
    try {
      return await context.results(names, {
        withinMs: this.#waitMs ?? 0,
        bytes,
        signal: this.#stopped.signal,
      });
    } catch (error) {
      context.log.warn('the result of an execution could not be read', {
        trigger: this.#trigger,
        executions: names,
        error: errorText(error),
      });
      return undefined;
    }
  }

  /** In the trigger's own words; a list of events has a list of answers, which these cannot say. */
  #worded(
    { events, answers, batch, context }: Accepted,
    results: readonly ExecutionResult[] = [],
    usual: number,
  ): Response | undefined {
    const templates = this.#templates;
    const [only] = events;
    if (templates === undefined || !templates.words || batch || only === undefined) return undefined;
    const execution = answers[0]?.executions[0];
    const result = results.find((one) => one.execution === execution);
    // Kept no longer, or not to be had: what the words made of nothing would be told of it.
    if (templates.readsExecution && execution !== undefined && result === undefined) return undefined;
    const scope = { event: only.event, claims: only.claims ?? {}, execution, result };
    const rendered = renderAnswer(templates, scope, usual);
    if (rendered.ok) return rendered.response;
    const fields = { trigger: this.#trigger, problem: rendered.problem };
    context.log.warn('the answer of a webhook trigger could not be worded; the usual one was sent', fields);
    return undefined;
  }
}

function plain(
  { answers, batch, open }: Accepted,
  results: readonly ExecutionResult[] | undefined,
  status: number,
): Response {
  const of = (answer: EventAnswer): JsonObject => {
    if (results === undefined) return answer as unknown as JsonObject;
    const own = results.filter(({ execution }) => answer.executions.includes(execution));
    return { ...answer, results: own.map((result) => told(result, open)) } as unknown as JsonObject;
  };
  return Response.json(batch ? { events: answers.map(of) } : of(answers[0] as EventAnswer), { status });
}

function told(result: ExecutionResult, open: boolean): Partial<ExecutionResult> {
  if (!open) return result;
  const { reason: _reason, message: _message, ...rest } = result;
  return rest;
}
