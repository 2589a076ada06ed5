/**
 * Bounds what one evaluation may do. The data of an event come from outside, so an expression that is quick on ten
 * items may meet a million; evaluation is synchronous and would hold up everything else. 50,000 steps take about
 * 70 ms, and an item takes one to four. Evaluations never interleave, so one counter serves all.
 */
const MAX_STEPS = 50_000;
let left = MAX_STEPS;

export function startWork(): void {
  left = MAX_STEPS;
}

/** Errors: RangeError once the evaluation has used up its share. */
export function charge(steps: number): void {
  left -= steps;
  if (left < 0)
    throw new RangeError(
      `it is too much work for one evaluation: more than ${MAX_STEPS} steps (a list item takes up to four)`,
    );
}
