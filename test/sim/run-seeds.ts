import { describe, expect, it } from 'vitest';
import { ChaosRow } from '../support/chaos-row.ts';

export interface Simulation {
  /** Of its row in `npm run test:chaos`. */
  readonly name: string;
  readonly simulate: (seed: number) => Promise<{
    readonly findings: readonly { readonly kind: string; readonly what: string }[];
    readonly tally: Readonly<Record<string, number>>;
  }>;
  /** What happens how often per seed, at least: with fewer of them the seeds prove less than they seem to. */
  readonly often: Readonly<Record<string, number>>;
}

const GROUP = 25;
/** `npm test` runs so many of each simulation; in two files, so that two cores share them. */
const USUAL = 1_000;
/** With fewer seeds some kind of fault may be rare. */
const ENOUGH = 50;

/** Tests for one half of the seeds, in groups; a failure names its seeds. */
export function runSeeds({ name, simulate, often }: Simulation, half: 'first' | 'second'): void {
  const row = new ChaosRow(name, USUAL);
  const middle = Math.ceil(row.rounds / 2);
  const seeds = Array.from({ length: row.rounds }, (_, i) => row.seed + row.first + i + 1);
  const ours = half === 'first' ? seeds.slice(0, middle) : seeds.slice(middle);

  describe('nothing is lost, done twice, made up or stuck', () => {
    const total: Record<string, number> = {};
    for (let i = 0; i < ours.length; i += GROUP) {
      const group = ours.slice(i, i + GROUP);
      const [from, to] = [group[0], group.at(-1)];
      it(`seeds ${from} to ${to}`, async () => {
        const bad: string[] = [];
        for (const seed of group) {
          const { findings, tally } = await simulate(seed);
          row.begin();
          for (const [what, count] of Object.entries(tally)) total[what] = (total[what] ?? 0) + count;
          if (findings.length === 0) continue;
          row.violated(1);
          const some = findings.slice(0, 3).map(({ kind, what }) => `  ${kind}: ${what}`);
          bad.push(`SEED=${seed} npm run sim`, ...some);
        }
        expect(bad.join('\n')).toBe('');
      });
    }
    it('met every kind of fault often', () => {
      row.report();
      if (ours.length < ENOUGH) return;
      const rare = Object.entries(often).filter(([what, least]) => (total[what] ?? 0) < least * ours.length);
      expect(rare.map(([what]) => `${what}: ${total[what] ?? 0} in ${ours.length} seeds`)).toEqual([]);
    });
  });
}
