import { expect, it } from 'vitest';
import { Outages } from '../../src/executor/outages.ts';

const NOON = Date.parse('2026-01-01T12:00:00Z');
const at = (seconds: number): number => NOON + 1000 * seconds;
/** So many seconds after noon by the time of day, and on the clock that nobody sets. */
const moment = (seconds: number, elapsed = seconds) => ({ time: at(seconds), elapsed: 1000 * elapsed });

it('what ended up to half a minute before it was found away, or until it answered, may have ended with it', () => {
  const outages = new Outages();
  outages.away(moment(100));
  expect([69, 70, 100, 1e6].map((s) => outages.around(at(s)))).toEqual([false, true, true, true]);
  outages.back(moment(200));
  expect([69, 70, 200, 201].map((s) => outages.around(at(s)))).toEqual([false, true, true, false]);
});

it('the time of day may be set back or forward while it is away', () => {
  const outages = new Outages();
  // For 20 s, in which it was set back by ten minutes.
  outages.away(moment(600));
  outages.back(moment(20, 620));
  const seen = [-31, -30, 20, 21, 569, 570, 600, 620, 621].map((s) => outages.around(at(s)));
  expect(seen).toEqual([false, true, true, false, false, true, true, true, false]);
  outages.away(moment(1000));
  outages.back(moment(5000, 1010));
  const then = [969, 970, 1010, 1011, 4959, 4960, 5000, 5001].map((s) => outages.around(at(s)));
  expect(then).toEqual([false, true, true, false, false, true, true, false]);
});

it('blinks that follow each other are one outage; after a while they are another', () => {
  const outages = new Outages();
  for (const s of [100, 120, 150, 200]) outages.blink(moment(s));
  const seen = [69, 70, 100, 150, 151, 169, 170, 200, 201].map((s) => outages.around(at(s)));
  expect(seen).toEqual([false, true, true, true, false, false, true, true, false]);
});

it('a blink while it is away does not end that', () => {
  const outages = new Outages();
  outages.away(moment(100));
  outages.blink(moment(101));
  expect(outages.around(at(5000))).toBe(true);
});

it('one that is not over yet begins no second time', () => {
  const outages = new Outages();
  outages.away(moment(100));
  outages.away(moment(500));
  outages.back(moment(510));
  outages.back(moment(900));
  expect([69, 70, 510, 511].map((s) => outages.around(at(s)))).toEqual([false, true, true, false]);
});
