/** Whole seconds since 1970 in one spelling; 12 digits reach far beyond any window. */
const SECONDS = /^(?:0|[1-9][0-9]{0,11})$/;

/**
 * What is wrong with the signed time of a call (whole seconds since 1970), for the log, or undefined. It may lie
 * `toleranceMs` from `now` (epoch ms) to either side, counted in whole seconds, as the senders' own libraries do: a
 * sender drops the fraction of its time too.
 */
export function timeProblem(text: string, toleranceMs: number, now: number): string | undefined {
  if (!SECONDS.test(text)) return 'the time is not a whole number of seconds';
  const age = Math.floor(now / 1000) - Number(text);
  const tolerance = Math.floor(toleranceMs / 1000);
  if (age > tolerance) return `the time lies ${age} s back, more than the tolerance of ${tolerance} s`;
  if (age < -tolerance) return `the time lies ${-age} s ahead, more than the tolerance of ${tolerance} s`;
  return undefined;
}
