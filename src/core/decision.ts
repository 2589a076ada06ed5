import type { JsonObject } from './json.ts';

/** What one trigger answered to one event. */
export const DECISION_OUTCOMES = [
  'matched',
  'filtered',
  'duplicate',
  'skipped',
  'held',
  'limited',
  'late',
  'failed',
] as const;
export type DecisionOutcome = (typeof DECISION_OUTCOMES)[number];

/** The stored answer of one trigger to one event; `reason` is in plain words. */
export interface Decision {
  readonly event: string;
  readonly trigger: string;
  readonly outcome: DecisionOutcome;
  readonly reason: string;
  /** The part of `when` (or the template) that decided. */
  readonly clause: string | null;
  /** What that part read, by path. */
  readonly values: JsonObject | null;
  /** Name of the execution it started. */
  readonly execution: string | null;
  readonly decideTime: number;
}
