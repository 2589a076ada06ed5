import { expect, it } from 'vitest';
import { breather } from '../../src/lib/breather.ts';

it('lets the event loop turn after each so many calls, and never else', async () => {
  const breathe = breather(3);
  let turns = 0;
  let next = setImmediate(turn);
  function turn(): void {
    turns++;
    next = setImmediate(turn);
  }
  const seen: number[] = [];
  for (let i = 0; i < 7; i++) {
    await breathe();
    seen.push(turns);
  }
  expect(seen.slice(0, 2)).toEqual([0, 0]);
  expect(seen[2]).toBeGreaterThan(0);
  expect(seen[4]).toBe(seen[2]);
  expect(seen[5]).toBeGreaterThan(seen[4] ?? 0);
  expect(seen[6]).toBe(seen[5]);
  clearImmediate(next);
});
