import type { Decision } from '../../core/decision.ts';
import type { StoredEvent } from '../../core/event.ts';
import type { Execution } from '../../core/execution.ts';
import type { Page } from '../../core/store.ts';
import type { TriggerStatus } from '../../core/source.ts';
import type { HttpDeps, HttpStore } from '../deps.ts';

/** Newest events that are looked through for those that started nothing; a few at a time, as each may be large. */
export const EVENTS_LOOKED_AT = 100;
const EVENTS_PAGE = 25;
const QUIET_SHOWN = 15;
/** More of one event are told by its own page. */
const DECISIONS_READ = 100;
const SKIPPED_SHOWN = 30;
/** The next time of each is computed anew: ten thousand would hold everything else up. */
export const SCHEDULES_SHOWN = 30;

/** The answer of the trigger that started it; undefined where the API did. */
export async function decisionBehind(store: HttpStore, execution: Execution): Promise<Decision | undefined> {
  const { cause, name } = execution;
  if (cause.kind === 'api') return undefined;
  const { event, trigger } = cause;
  const { items } = await store.listDecisions({ event, trigger }, { size: DECISIONS_READ });
  return items.find((decision) => decision.trigger === trigger && decision.execution === name);
}

export interface QuietEvent {
  readonly stored: StoredEvent;
  readonly decisions: readonly Decision[];
}

/**
 * The newest events that no execution came of, each with its decisions. The end of an execution is an event too: where
 * no trigger asked for it, it is no answer to why nothing happened, and stays out.
 */
export async function quietEvents(store: HttpStore): Promise<readonly QuietEvent[]> {
  const quiet: QuietEvent[] = [];
  let cursor: string | null = null;
  for (let looked = 0; looked < EVENTS_LOOKED_AT && quiet.length < QUIET_SHOWN; looked += EVENTS_PAGE) {
    const page: Page<StoredEvent> = await store.listEvents(
      {},
      cursor === null ? { size: EVENTS_PAGE } : { size: EVENTS_PAGE, cursor },
    );
    const all = await Promise.all(page.items.map((stored) => withDecisions(store, stored)));
    quiet.push(...all.filter(isQuiet));
    cursor = page.nextCursor;
    if (cursor === null) break;
  }
  return quiet.slice(0, QUIET_SHOWN);
}

async function withDecisions(store: HttpStore, stored: StoredEvent): Promise<QuietEvent> {
  const { items } = await store.listDecisions({ event: stored.uid }, { size: DECISIONS_READ });
  return { stored, decisions: items };
}

function isQuiet({ stored, decisions }: QuietEvent): boolean {
  if (stored.decideTime === null || decisions.some(({ execution }) => execution !== null)) return false;
  return decisions.length > 0 || stored.origin !== 'execution';
}

export interface Schedule {
  readonly trigger: string;
  readonly job: string;
  readonly cron: string;
  readonly zone: string;
  /** Epoch ms; undefined where it never fires again. */
  readonly next: number | undefined;
}
export interface Schedules {
  /** Soonest first. */
  readonly shown: readonly Schedule[];
  readonly count: number;
}

export function schedules(deps: HttpDeps, now: number): Schedules {
  const crons = [...deps.config().triggers.values()].flatMap(({ name, source, run }) =>
    source.kind === 'cron' ? [{ trigger: name, job: run.job, cron: source.cron, zone: source.zone }] : [],
  );
  const shown = crons
    .slice(0, SCHEDULES_SHOWN)
    .map((cron) => ({ ...cron, next: deps.preview(cron.trigger, now, 1)[0] }))
    .sort((a, b) => (a.next ?? Infinity) - (b.next ?? Infinity));
  return { shown, count: crons.length };
}

interface Skipped {
  readonly trigger: string;
  readonly status: TriggerStatus;
}

/** Triggers that left alone what was there before them, the one that started last first. */
export function skippedBefore(deps: HttpDeps): {
  readonly shown: readonly Skipped[];
  readonly count: number;
} {
  const all = [...deps.config().triggers.values()]
    .flatMap((trigger) => {
      const status = deps.triggerStatus(trigger);
      return status !== undefined && status.existing.skipped > 0 ? [{ trigger: trigger.name, status }] : [];
    })
    .sort((a, b) => b.status.firstStart - a.status.firstStart);
  return { shown: all.slice(0, SKIPPED_SHOWN), count: all.length };
}
