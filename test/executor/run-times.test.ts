import { beforeEach, expect, it } from 'vitest';
import { RunTimes } from '../../src/executor/run-times.ts';
import { ManualClock } from '../support/manual-clock.ts';

const HOUR = 3_600_000;
const TIMEOUT = 50 * HOUR;

let clock: ManualClock;
let times: RunTimes;
beforeEach(() => {
  clock = new ManualClock();
  times = new RunTimes(clock);
});

const stored = (ran: number) => ({ containerName: 'c', deadline: clock.now() - ran + TIMEOUT });

it('what has not started has not run; nor has what has no deadline yet', () => {
  expect(times.ranMs('c')).toBeNull();
  times.startAsked('c');
  times.takenOver({ containerName: 'c', deadline: null }, TIMEOUT);
  expect(times.ranMs('c')).toBeNull();
});

it('counts from its start, whatever the time of day, also when it is taken over again', async () => {
  times.started('c');
  await clock.advance(2 * HOUR);
  clock.set(clock.now() + 100 * HOUR);
  times.takenOver({ containerName: 'c', deadline: clock.now() - HOUR }, TIMEOUT);
  await clock.advance(HOUR);
  expect(times.ranMs('c')).toBe(3 * HOUR);
});

it.each([
  ['what is stored', 7 * HOUR, 7 * HOUR],
  ['the timeout at most, where the time of day was set forward since', 1000 * HOUR, 1000 * HOUR],
  ['nothing, where it was set back', -7 * HOUR, 0],
])('of what another process started it has run by %s', async (_, ran, expected) => {
  times.takenOver(stored(ran), TIMEOUT);
  expect(times.ranMs('c')).toBe(expected);
  await clock.advance(HOUR);
  expect(times.ranMs('c')).toBe(expected + HOUR);
});

it('none has run for longer than since this process first asked for its start', async () => {
  times.startAsked('c');
  await clock.advance(HOUR);
  times.startAsked('c');
  clock.set(clock.now() + 100 * HOUR);
  times.takenOver(stored(100 * HOUR), TIMEOUT);
  expect(times.ranMs('c')).toBe(HOUR);
});

it('a grace is whole until SIGTERM is sent, and is then counted from the first one', async () => {
  expect(times.graceLeftMs('c', 30_000)).toBe(30_000);
  times.stopSent('c', clock.elapsed());
  await clock.advance(10_000);
  times.stopSent('c', clock.elapsed());
  clock.set(clock.now() + HOUR);
  await clock.advance(10_000);
  expect(times.graceLeftMs('c', 30_000)).toBe(10_000);
  expect(times.graceLeftMs('other', 30_000)).toBe(30_000);
  await clock.advance(20_000);
  expect(times.graceLeftMs('c', 30_000)).toBe(0);
});

it('keeps nothing of what has ended', () => {
  for (const name of ['a', 'b', 'c']) times.started(name);
  times.end('a');
  times.keep(new Set(['c']));
  expect(['a', 'b', 'c'].map((name) => times.ranMs(name))).toEqual([null, null, 0]);
});
