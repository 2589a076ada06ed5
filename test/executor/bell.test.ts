import { expect, it } from 'vitest';
import { Bell, BellTimer } from '../../src/executor/bell.ts';
import { ManualClock } from '../support/manual-clock.ts';

it('a timer of a bell rings it once, when it was last set to', async () => {
  const clock = new ManualClock();
  const bell = new Bell();
  const timer = new BellTimer(clock, bell);
  let rung = 0;
  const wait = (): void => void bell.wait().then(() => (rung += 1));
  wait();
  timer.set(1_000);
  timer.set(5_000);
  expect(clock.pending).toBe(1);
  await clock.advance(4_999);
  expect(rung).toBe(0);
  await clock.advance(1);
  expect(rung).toBe(1);
  wait();
  timer.set(1_000);
  timer.cancel();
  await clock.advance(60_000);
  expect(rung).toBe(1);
  expect(clock.pending).toBe(0);
});
