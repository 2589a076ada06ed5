import { expect, it } from 'vitest';
import { simulate } from './world.ts';

const GROUP = 25;
/** None of these may be rare, or the seeds prove less than they seem to. */
const OFTEN = [
  'crash before a commit',
  'crash after a commit',
  'crash between two awaits',
  'jump',
  'duplicate',
  'refused',
];

/** Tests for the seeds from `first` to `last`, in groups; a failure names its seeds. */
export function runSeeds(first: number, last: number): void {
  const total: Record<string, number> = {};
  for (let from = first; from <= last; from += GROUP) {
    const to = Math.min(from + GROUP - 1, last);
    it(`seeds ${from} to ${to}`, async () => {
      const bad: string[] = [];
      for (let seed = from; seed <= to; seed++) bad.push(...(await runSeed(seed, total)));
      expect(bad.join('\n')).toBe('');
    });
  }
  it('met every kind of fault often', () => {
    const rare = OFTEN.filter((what) => (total[what] ?? 0) <= last - first);
    expect(rare).toEqual([]);
    // These need a long outage or jump.
    expect(total['late slots']).toBeGreaterThan((last - first) / 5);
  });
}

async function runSeed(seed: number, total: Record<string, number>): Promise<string[]> {
  const { findings, tally } = await simulate(seed);
  for (const [what, count] of Object.entries(tally)) total[what] = (total[what] ?? 0) + count;
  if (findings.length === 0) return [];
  return [`SEED=${seed} npm run sim`, ...findings.slice(0, 3).map(({ kind, what }) => `  ${kind}: ${what}`)];
}
