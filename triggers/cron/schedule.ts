import { Cron } from 'croner';
import { nextPlain, plainSchedule } from './plain-schedule.ts';
import type { PlainSchedule } from './plain-schedule.ts';
import { offsetAt, steadyOffset } from './zone-offset.ts';

/** A schedule compiled by croner takes some 80 KB and 0.1 ms: ten thousand of them would be 800 MB and a second. */
const KEPT = 64;
const MINUTE = 60_000;
/** Both: the least recently used first. */
const compiled = new Map<string, Cron>();
/** To read a text takes as long as to find its next slot, and whoever counts missed slots asks for many. */
const plain = new Map<string, PlainSchedule | 'none'>();

/**
 * The first slot after `after` (epoch ms), or null where none comes. A fixed time, with one second, minute and hour
 * written as numbers, comes once a day whatever the clocks do: from the hour that they leave out it moves to the end of
 * the gap, in the hour that comes twice it is the first. All others (lists, ranges, steps, `*`) go by the clock on
 * the wall: they have no slots in the hour left out, and each slot twice in the hour that comes twice.
 * Errors: whatever croner throws for a bad cron or zone (`cronProblem` and `zoneProblem` tell them beforehand).
 */
export function nextTime(cron: string, zone: string, after: number): number | null {
  // With a zone croner makes a formatter for each step of its search. Far from any change of the clocks the zone is
  // just an offset: the wall is read as if it were UTC, which also lets all zones share one compiled schedule.
  const offset = offsetAt(zone, after);
  if (Number.isInteger(offset)) {
    const wall = nextRun(cron, 'UTC', after + offset * MINUTE);
    if (wall === null) return null;
    const next = wall - offset * MINUTE;
    if (steadyOffset(zone, after, next) === offset) return next;
  }
  return nextRun(cron, zone, after);
}

/** Any moment does for "does it ever fire": there is no year in five or six fields, so slots repeat. */
const SOME_TIME = Date.UTC(2026, 0, 1);

/** Whether any slot ever comes; it does not depend on the zone. Errors: croner's, where `cron` is none. */
export function everFires(cron: string): boolean {
  return nextRun(cron, 'UTC', SOME_TIME) !== null;
}

function nextRun(cron: string, zone: string, after: number): number | null {
  const numbers = zone === 'UTC' ? kept(plain, cron, () => plainSchedule(cron) ?? 'none') : 'none';
  if (numbers !== 'none') return nextPlain(numbers, after);
  return schedule(cron, zone).nextRun(new Date(after))?.getTime() ?? null;
}

function schedule(cron: string, zone: string): Cron {
  const by = zone === 'UTC' ? { utcOffset: 0 } : { timezone: zone };
  return kept(compiled, `${zone} ${cron}`, () => new Cron(cron, { ...by, paused: true }));
}

function kept<T>(known: Map<string, T>, key: string, make: () => T): T {
  const value = known.get(key) ?? make();
  known.delete(key);
  known.set(key, value);
  const [oldest] = known.keys();
  if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
  return value;
}
