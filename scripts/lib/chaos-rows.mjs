// @ts-check
// What `npm run test:chaos` runs. A row more: a line here. Its test reads how many rounds it is to run from
// TAPPET_ROUNDS (absent = as many as `npm test` has time for) and prints `chaos <name> rounds=<n> violations=<n>`;
// test/support/chaos-row.ts does both, and test/scripts/chaos.test.ts finds a test that has no line here.

/**
 * `full`: rounds of a full run. `seconds`: of one round, as a first guess; afterwards it is measured. `point`: what
 * docs/reliability.md calls it. `share`: the rounds by which it gets its share of a call with a limit of time.
 * @typedef {{ name: string, point: string, project: string, files: string[], full: number, seconds: number, share: number }} ChaosRow
 */

/**
 * `tests`: the project, then its files. Several share the rounds among themselves.
 * @type {(name: string, point: string, tests: string, full: number, seconds: number, share?: number) => ChaosRow}
 */
const row = (name, point, tests, full, seconds, share = full) => {
  const [project = '', ...files] = tests.split(' ');
  return { name, point, project, files: files.map((file) => `test/${file}.test.ts`), full, seconds, share };
};

/** What needs an engine comes last: whatever is wrong without one is known before. */
export const ROWS = /** @type {readonly ChaosRow[]} */ ([
  // 100,000 seeds in all. `npm test` runs 2,000, so that others have the time of a short call.
  row('simulator', 'R1', 'sim sim/simulation sim/more-seeds', 50_000, 0.08, 2_000),
  row('executor-simulator', 'R1', 'sim sim/executor/simulation sim/executor/more-seeds', 50_000, 0.15, 2_000),
  // Twenty of them, with 500 seeds each.
  row('ablations', 'R2', 'sim sim/ablations', 10_000, 0.3),
  row('executor-crashes', 'R4', 'crash executor/crash-places', 104, 0.1),
  // 20 points on the way from each earlier schema.
  row('upgrades', 'R21', 'crash stores/sqlite/schemas-killed', 40, 0.5),
  row('power-cut', 'R5', 'e2e e2e/power-cut', 100, 1.5),
  row('io-errors', 'R7', 'e2e e2e/io-errors', 500, 0.4),
  row('kill-under-load', 'R3', 'e2e e2e/kill-under-load', 200, 3),
  row('kill-running', 'R3', 'e2e e2e/kill-running', 200, 8),
  row('gateway-crashes', 'R4', 'e2e e2e/crash-places', 194, 4),
  // Five at the same time.
  row('frozen-owner', 'R4', 'e2e e2e/frozen-owner', 46, 10),
  row('engine-faults', 'R9', 'e2e e2e/engine-faults', 300, 2),
  row('engine-restart', 'R8', 'e2e e2e/engine-restart', 40, 25),
  // Three places, 20 times each.
  row('disk-full', 'R6', 'e2e e2e/disk-full', 60, 10),
  row('retention', 'R19', 'e2e e2e/retention', 100, 7),
  // One round is 10,000 events.
  row('duplicates', 'R13', 'e2e e2e/duplicates', 1, 120),
  row('sigterm-under-load', 'R15', 'e2e e2e/drain', 100, 5),
  row('cancel-grace', 'R16', 'e2e e2e/cancel-grace', 60, 3),
]);

/** These start containers, or the built product: `npm test` sets up what they need. */
export const needsEngine = (/** @type {ChaosRow} */ { project }) =>
  project === 'e2e' || project === 'integration';
