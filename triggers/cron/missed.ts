import { MISSED_MAX } from './event.ts';
import type { DueSlot } from './event.ts';
import { nextTime } from './schedule.ts';

/**
 * The slot to fire at `now` when everything up to `cursor` is done: the last one that is due, with those before it
 * counted as missed. Undefined = nothing is due. Times are epoch ms.
 */
export function dueSlot(cron: string, zone: string, cursor: number, now: number): DueSlot | undefined {
  const first = nextTime(cron, zone, cursor);
  if (first === null || first > now) return undefined;
  const slot = lastSlot(cron, zone, first, now);
  const missed = countSlots(cron, zone, first, slot);
  return { slot, now, missed, missedSince: missed === 0 ? null : first };
}

/**
 * The last slot up to `now`, given that `first` is one. Most schedules are even, so the first guess is one period
 * before now; else by halving: a year of missed seconds takes some 35 calls of `nextTime`, not 31 million.
 */
function lastSlot(cron: string, zone: string, first: number, now: number): number {
  const next = (after: number): number => nextTime(cron, zone, after) ?? Infinity;
  const second = next(first);
  if (second > now) return first;
  const guess = next(Math.max(first, now - (second - first)));
  let slot = guess <= now ? guess : second;
  let end = now;
  // Invariant: `slot` is a slot, and no slot lies in (end, now].
  while (slot < end) {
    const following = next(slot);
    if (following > end) return slot;
    slot = following;
    const middle = slot + Math.floor((end - slot) / 2);
    const found = next(middle);
    if (found <= end) slot = found;
    else end = middle;
  }
  return slot;
}

/** Slots from `first` to before `end`, at most MISSED_MAX + 1. */
function countSlots(cron: string, zone: string, first: number, end: number): number {
  let count = 0;
  for (let at: number | null = first; at !== null && at < end; at = nextTime(cron, zone, at)) {
    count++;
    if (count > MISSED_MAX) break;
  }
  return count;
}
