// @ts-check
// What a run of `npm run test:mutation` came to. Pure.

/** Per cent of the changed places that a test must notice. */
export const GOAL = 85;

/**
 * One changed place: the file, and what became of it in Stryker's words.
 * @typedef {{ fileName: string, status: string }} Mutant
 * @typedef {{ killed: number, of: number }} Figures
 */

/** A change that makes a test run for ever is noticed too. */
const KILLED = new Set(['Killed', 'Timeout']);
const SURVIVED = new Set(['Survived', 'NoCoverage']);

/**
 * A line per module, the worst first, and the last line. Places that the source takes out, with its reason, do not count.
 * @param {readonly Mutant[]} mutants
 * @returns {{ lines: string[], last: string, bad: boolean }}
 */
export function score(mutants) {
  /** @type {Map<string, Figures>} */
  const modules = new Map();
  const all = { killed: 0, of: 0 };
  for (const { fileName, status } of mutants) {
    const killed = KILLED.has(status);
    if (!killed && !SURVIVED.has(status)) continue;
    const name = fileName.replace(/^.*\//, '');
    const one = modules.get(name) ?? { killed: 0, of: 0 };
    modules.set(name, one);
    for (const figures of [one, all]) {
      figures.of++;
      if (killed) figures.killed++;
    }
  }
  const lines = [...modules]
    .toSorted(([, a], [, b]) => percent(a) - percent(b))
    .map(([name, figures]) => `${name.padEnd(26)}${counts(figures)}`);
  const out = mutants.filter(({ status }) => status === 'Ignored').length;
  if (out > 0) lines.push(`${out} taken out in the source, with a reason`);
  return {
    lines,
    last: `mutation: ${counts(all)}, goal ${GOAL} %`,
    bad: percent(all) < GOAL,
  };
}

/** @param {Figures} figures */
const percent = ({ killed, of }) => (of === 0 ? 0 : (100 * killed) / of);

/** Cut, not rounded: 84.99 is not 85. @param {Figures} figures */
const counts = (figures) =>
  `${figures.killed} killed of ${figures.of}, ${(Math.floor(percent(figures) * 10) / 10).toFixed(1)} %`;
