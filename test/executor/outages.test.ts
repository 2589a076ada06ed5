import { expect, it } from 'vitest';
import { Outages } from '../../src/executor/outages.ts';

const NOON = Date.parse('2026-01-01T12:00:00Z');
const at = (seconds: number): number => NOON + 1000 * seconds;
/** So many seconds after noon by the time of day, and on the clock that nobody sets. */
const moment = (seconds: number, elapsed = seconds) => ({ time: at(seconds), elapsed: 1000 * elapsed });

it('what ended up to half a minute before it was found away, or until it answered, may have ended with it', () => {
  const outages = new Outages();
  const ended = outages.begin(moment(100));
  expect([69, 70, 100, 1e6].map((s) => outages.around(at(s)))).toEqual([false, true, true, true]);
  ended(moment(200));
  expect([69, 70, 200, 201].map((s) => outages.around(at(s)))).toEqual([false, true, true, false]);
});

it('the time of day may be set back or forward while it is away', () => {
  const outages = new Outages();
  // Away for 20 s, in which it was set back by a minute.
  outages.begin(moment(100))(moment(60, 120));
  expect([29, 30, 60, 100, 120, 121].map((s) => outages.around(at(s)))).toEqual([
    false,
    true,
    true,
    true,
    true,
    false,
  ]);
  outages.begin(moment(1000))(moment(5000, 1010));
  expect([969, 970, 1000, 5000, 5001].map((s) => outages.around(at(s)))).toEqual([
    false,
    true,
    true,
    true,
    false,
  ]);
});

it('blinks that follow each other are one outage; after a while, or where the time of day was set back, they are another', () => {
  const outages = new Outages();
  for (const s of [100, 120, 150, 200]) outages.blink(moment(s));
  outages.blink(moment(20, 201));
  const seen = [69, 70, 100, 150, 151, 169, 170, 200, 201].map((s) => outages.around(at(s)));
  expect(seen).toEqual([false, true, true, true, false, false, true, true, false]);
  expect([-11, -10, 20, 21].map((s) => outages.around(at(s)))).toEqual([false, true, true, false]);
});

it('a blink while it is away does not end that', () => {
  const outages = new Outages();
  outages.begin(moment(100));
  outages.blink(moment(101));
  expect(outages.around(at(5000))).toBe(true);
});

it('one that ends late ends no other', () => {
  const outages = new Outages();
  const first = outages.begin(moment(100));
  outages.begin(moment(200));
  first(moment(210));
  expect(outages.around(at(500))).toBe(true);
});
