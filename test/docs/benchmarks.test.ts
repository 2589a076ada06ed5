import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { report } from '../../bench/main.mjs';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
interface Bound {
  readonly min?: number;
  readonly max?: number;
}
const goals = JSON.parse(read('bench/goals.json')) as Record<string, { ratio?: Bound; value?: Bound }>;
const sources = readdirSync(join(root, 'bench'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.mjs'))
  .map((name) => `bench/${name}`);

/** The line that a figure prints, and whether it reaches its goal. */
function line(figure: { name: string; ours: number; floor?: number; note?: string }) {
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const ok: unknown = report({ floor: undefined, note: undefined, ...figure });
  const text = String(log.mock.calls[0]?.[0]);
  log.mockRestore();
  return { ok, text };
}

describe('npm run bench', () => {
  it('prints a line a figure: ours, floor, ratio, goal and whether it is reached', () => {
    expect(line({ name: 'webhook-hmac', ours: 2000, floor: 4000 })).toEqual({
      ok: true,
      text: 'bench webhook-hmac ours=2000 floor=4000 ratio=0.500 goal=>=0.5 ok',
    });
    expect(line({ name: 'webhook-hmac', ours: 1990, floor: 4000 })).toMatchObject({
      ok: false,
      text: expect.stringMatching(/ratio=0\.49\d goal=>=0\.5 short$/) as string,
    });
    expect(line({ name: 'start-total', ours: 111, floor: 100, note: 'ms' }).text).toBe(
      'bench start-total ours=111 floor=100 ratio=1.110 goal=<=1.1 short  # ms',
    );
    expect(line({ name: 'cron-10000-rss-mb', ours: 149.6 }).text).toBe(
      'bench cron-10000-rss-mb ours=150 floor=- ratio=- goal=<=150 ok',
    );
    expect(() => line({ name: 'new', ours: 1 })).toThrow('bench/goals.json has no goal for new');
  });

  it('has a goal for every figure that a benchmark gives, and for no other', () => {
    const names = sources.flatMap((file) =>
      [...read(file).matchAll(/\bname: (?:'([^']+)'|`([^`]+)`),\s+ours/g)].map(
        ([, plain, made]) => plain ?? made ?? '',
      ),
    );
    const given = names.flatMap((name) =>
      name === 'webhook-${kind}' ? ['webhook-hmac', 'webhook-oidc'] : [name],
    );
    expect(given.toSorted()).toEqual(Object.keys(goals).toSorted());
  });

  it('measures against floors without product code, which benchmarks only start as users do', () => {
    const imported = sources.flatMap((file) =>
      [...read(file).matchAll(/(?:from|import\()\s*'([^']+)'/g)].map(([, target = '']) =>
        target.startsWith('.') ? normalize(join(dirname(file), target)) : target,
      ),
    );
    expect(imported).toContain('bench/floors/rows.mjs');
    const ours = imported.filter(
      (target) => /(^|\/)(src|triggers|dist|test)\//.test(target) || target === 'tappet',
    );
    expect(ours).toEqual([]);
    // The floors start nothing either.
    const floors = sources.filter((file) => file.startsWith('bench/floors/'));
    expect(floors.length).toBeGreaterThan(2);
    for (const file of floors) expect(read(file)).not.toMatch(/dist\/|child_process/);
  });
});

describe('docs/benchmarks.md', () => {
  const page = read('docs/benchmarks.md');
  const figures = page
    .split('\n')
    .filter((text) => text.startsWith('| `'))
    .map((text) => text.split('|').map((cell) => cell.trim()))
    .map(([, what = '', ours = '', floor = '', ratio = '', goal = '', verdict = '']) => ({
      name: /^`([^`]+)`/.exec(what)?.[1] ?? '',
      ours: Number(ours.replaceAll(',', '')),
      floor: Number(floor.replaceAll(',', '')),
      ratio: Number(ratio),
      goal,
      verdict: verdict.replaceAll('*', ''),
    }));

  it('has every figure of bench/goals.json with its goal', () => {
    expect(figures.map(({ name }) => name).toSorted()).toEqual(Object.keys(goals).toSorted());
    for (const { name, goal } of figures) {
      const { min, max } = goals[name]?.ratio ?? goals[name]?.value ?? {};
      expect([name, goal.slice(0, 1), Number(goal.slice(1))]).toEqual([
        name,
        min === undefined ? '≤' : '≥',
        min ?? max,
      ]);
    }
  });

  it('calls `ok` what its own figures say, and names below what is short', () => {
    for (const { name, ours, floor, ratio, verdict } of figures) {
      const bound = goals[name]?.ratio;
      const { min = -Infinity, max = Infinity } = bound ?? goals[name]?.value ?? {};
      const judged = bound === undefined ? ours : ratio;
      expect([name, verdict]).toEqual([name, judged >= min && judged <= max ? 'ok' : 'short']);
      if (bound !== undefined) expect(Math.abs(ours / floor - ratio)).toBeLessThan(0.01);
    }
    const short = figures.filter(({ verdict }) => verdict === 'short');
    const below = page.split('## What is short')[1] ?? '';
    for (const { name } of short) expect(below).toContain(name);
  });

  it('says on which machine, and with which command', () => {
    expect(page).toMatch(/^Machine: .*cores/m);
    expect(page).toContain('Command: `npm run bench`');
  });
});
