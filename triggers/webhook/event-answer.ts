import { executionPath } from '../../src/core/api.ts';
import type { Decision } from '../../src/core/decision.ts';
import { errorText } from '../../src/core/errors.ts';
import type { JsonObject } from '../../src/core/json.ts';
import type { SourceContext } from '../../src/core/source.ts';
import type { EventOutcome, RoutedEvent } from '../../src/core/store.ts';

/** The caller waits this long for the decision; it is normally committed with the event. */
const DECISION_WAIT_MS = 5_000;

/** What became of one event, as its sender hears it. */
export interface EventAnswer {
  readonly event: string;
  readonly duplicate: boolean;
  /** false: stored, and the decision will follow. */
  readonly decided: boolean;
  readonly decisions: readonly DecisionAnswer[];
  readonly executions: readonly string[];
  /** Where each of them tells how it is going. */
  readonly statusUrls: readonly string[];
}
interface DecisionAnswer {
  readonly trigger: string;
  readonly outcome: string;
  readonly reason?: string;
  readonly clause?: string;
  readonly values?: JsonObject;
  readonly execution?: string;
}

/** The event is durable by now, so whatever goes wrong here, the answer says that it was taken. */
export async function answerFor(
  accepted: RoutedEvent,
  context: SourceContext,
  open: boolean,
): Promise<EventAnswer> {
  const uid = accepted.duplicateOf ?? accepted.uid;
  const duplicate = accepted.duplicateOf !== undefined;
  const outcome = accepted.outcome ?? (await waitDecided(uid, context));
  const decisions = outcome?.decisions ?? [];
  // Those of the first answer: what was run again since, or is no longer kept, changes nothing of it.
  const executions = decisions.flatMap(({ execution }) => execution ?? []);
  return {
    event: uid,
    duplicate,
    decided: outcome?.decided ?? false,
    decisions: decisions.map((decision) => decisionAnswer(decision, duplicate, open)),
    executions,
    statusUrls: executions.map(executionPath),
  };
}

async function waitDecided(uid: string, context: SourceContext): Promise<EventOutcome | undefined> {
  try {
    return await context.outcome(uid, { until: 'decided', withinMs: DECISION_WAIT_MS });
  } catch (error) {
    context.log.warn('the decision on an event could not be read', { event: uid, error: errorText(error) });
    return undefined;
  }
}

/** `open`: to whoever calls without credentials; the event of the API has the rest. */
function decisionAnswer(decision: Decision, duplicate: boolean, open: boolean): DecisionAnswer {
  const { trigger, outcome, reason, clause } = decision;
  const execution = decision.execution === null ? {} : { execution: decision.execution };
  if (open) return { trigger, outcome, ...execution };
  const values = sendersOwn(decision.values, duplicate);
  return {
    trigger,
    outcome,
    reason,
    ...(clause === null ? {} : { clause }),
    ...(values === undefined ? {} : { values }),
    ...execution,
  };
}

/**
 * Only what this very sender sent goes back: not the trigger's labels, and nothing for a duplicate, whose first
 * sender may have been someone else who is allowed to call the same trigger.
 */
function sendersOwn(values: JsonObject | null, duplicate: boolean): JsonObject | undefined {
  if (values === null || duplicate) return undefined;
  const own = Object.entries(values).filter(([path]) => /^(?:event|claims)(?:[.[]|$)/.test(path));
  return own.length === 0 ? undefined : Object.fromEntries(own);
}
