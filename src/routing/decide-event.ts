import { errorText, isTappetError } from '../core/errors.ts';
import { flattenEvent } from '../core/event.ts';
import type { StoredEvent } from '../core/event.ts';
import type { JobDefinition, TriggerDefinition } from '../core/config.ts';
import type { Scope } from '../core/expression.ts';
import type { Ids } from '../core/ids.ts';
import type { Limits } from '../core/job.ts';
import type { NewDecision } from '../core/store.ts';
import { mapEvent } from './map-event.ts';
import { planExecution } from './plan-execution.ts';

export type RoutedJob = JobDefinition & { readonly generation: number };

export interface DecideDeps {
  readonly jobs: ReadonlyMap<string, RoutedJob>;
  readonly ids: Ids;
  readonly limits: Limits;
}

/**
 * The triggers that have to answer: the one that the event names, else all that listen to its origin and that it
 * concerns.
 */
export function considered(
  event: StoredEvent,
  triggers: ReadonlyMap<string, TriggerDefinition>,
): readonly TriggerDefinition[] {
  if (event.trigger !== null) {
    const named = triggers.get(event.trigger);
    return named === undefined ? [] : [named];
  }
  return [...triggers.values()].filter(
    ({ origin, concerns }) => origin === event.origin && concerns?.(event.event) !== false,
  );
}

/** One trigger's answer to one event. Never throws for what an event or a definition holds. */
export function decideFor(trigger: TriggerDefinition, event: StoredEvent, deps: DecideDeps): NewDecision {
  if (event.verdict !== null) return { trigger: trigger.name, ...event.verdict };
  const scope: Scope = {
    event: flattenEvent(event.event),
    claims: event.claims ?? {},
    trigger: { name: trigger.name, labels: { ...trigger.labels } },
  };
  return filter(trigger, scope) ?? start(trigger, event, scope, deps);
}

/** The answer where `when` does not let the event through. */
function filter(trigger: TriggerDefinition, scope: Scope): NewDecision | undefined {
  const result = trigger.when?.evaluate(scope);
  if (result === undefined || (result.ok && result.value)) return undefined;
  const { clause, values } = result;
  if (result.ok) {
    return { trigger: trigger.name, outcome: 'filtered', reason: `\`${clause}\` is false`, clause, values };
  }
  const reason = `when: \`${clause}\` could not be evaluated: ${result.error}`;
  return { trigger: trigger.name, outcome: 'failed', reason, clause, values };
}

function start(trigger: TriggerDefinition, event: StoredEvent, scope: Scope, deps: DecideDeps): NewDecision {
  const failed = (reason: string, clause?: string): NewDecision => ({
    trigger: trigger.name,
    outcome: 'failed',
    reason,
    ...(clause === undefined ? {} : { clause }),
  });
  const job = deps.jobs.get(trigger.run.job);
  if (job === undefined) return failed(`run.job: there is no job "${trigger.run.job}"`);
  const mapped = mapEvent({ trigger, event, scope, job });
  if (!mapped.ok) return failed(mapped.reason, mapped.clause);
  try {
    const execution = planExecution({
      job,
      generation: job.generation,
      overrides: mapped.overrides,
      staging: mapped.staging,
      context: mapped.context,
      cause: { kind: 'event', event: event.uid, trigger: trigger.name },
      ids: deps.ids,
      limits: deps.limits,
    });
    const reason = trigger.when === null ? 'no filter' : `\`${trigger.when.text}\` is true`;
    return { trigger: trigger.name, outcome: 'matched', reason, execution };
  } catch (error) {
    if (!isTappetError(error, 'INVALID_ARGUMENT')) throw error;
    return failed(`run.${error.fields.path ?? ''}: ${errorText(error)}`);
  }
}
