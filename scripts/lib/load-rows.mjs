// @ts-check
// The rows of `npm run test:load`: each starts a gateway of its own, as a user starts it, and says whether what it is
// about held.
import { HOLDING_ROWS } from './load-holding-rows.mjs';
import { TIMING_ROWS } from './load-timing-rows.mjs';

/**
 * @typedef {{ short: boolean, seed: number }} RowOptions
 * @typedef {{ what: string, figure: string, goal: string, ok: boolean }} Check
 * @typedef {{ text: string, checks: readonly Check[] }} Outcome `text`: what was done, and what else is of interest
 * @typedef {{ point: string, run: (options: RowOptions) => Promise<Outcome> }} LoadRow
 */

/** @type {Record<string, LoadRow>} */
export const LOAD_ROWS = { ...TIMING_ROWS, ...HOLDING_ROWS };

/**
 * @param {string} name of `LOAD_ROWS`
 * @param {RowOptions} options
 */
export async function runRow(name, options) {
  const row = LOAD_ROWS[name];
  if (row === undefined) throw new Error(`There is no row ${name}.`);
  return { point: row.point, ...(await row.run(options)) };
}
