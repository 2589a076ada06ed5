// @ts-check

/**
 * What an engine or a user may lack and no package can bring (`root`: to start a dockerd). A skipped test must name one
 * of them in its title, as `[needs seccomp]`; every other skip fails the run.
 */
const CAPABILITIES = /** @type {readonly string[]} */ ([
  'seccomp',
  'memory-limit',
  'pids-limit',
  'outbound-network',
  'root',
  'memory-kill-report',
]);

/**
 * @typedef {{ fullName: string, status: string, failureMessages?: string[] }} Assertion
 * @typedef {{ testResults: { name: string, status: string, assertionResults: Assertion[] }[] }} Report
 */

/**
 * Counts what vitest's JSON report holds. A file that fails before its first test counts as one failure.
 * @param {Report} report
 * @param {{ filtered: boolean }} options `filtered`: tests were chosen by name, so the others are skipped on purpose
 */
export function countTests(report, { filtered }) {
  const counts = { passed: 0, failed: 0, skipped: 0, problems: /** @type {string[]} */ ([]) };
  for (const file of report.testResults) {
    const failedBefore = counts.failed;
    for (const { fullName, status } of file.assertionResults) {
      if (status === 'passed') counts.passed++;
      else if (status === 'failed') counts.failed++;
      else if (!filtered) {
        counts.skipped++;
        if (!hasDeclaredReason(fullName))
          counts.problems.push(`skipped without a declared reason: ${fullName}`);
      }
    }
    if (file.status === 'failed' && counts.failed === failedBefore) counts.failed++;
  }
  if (counts.passed + counts.failed === 0) counts.problems.push('no test ran');
  return counts;
}

/** @param {string} title */
function hasDeclaredReason(title) {
  const needs = /\[needs ([a-z-]+)\]/.exec(title)?.[1];
  return needs !== undefined && CAPABILITIES.includes(needs);
}
