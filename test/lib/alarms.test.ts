import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeapAlarms } from '../../src/lib/alarms.ts';
import { ManualClock } from '../support/manual-clock.ts';

const T0 = Date.parse('2026-01-01T00:00:00Z');

describe('HeapAlarms', () => {
  it('rings in the order of time, then of making, and never before the time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ at: fc.integer({ min: 0, max: 90_000 }), cancelled: fc.boolean() }), {
          maxLength: 40,
        }),
        async (specs) => {
          const clock = new ManualClock(T0);
          const alarms = new HeapAlarms(clock);
          const rung: { at: number; i: number }[] = [];
          const cancels = specs.map(({ at }, i) =>
            alarms.at(T0 + at, () => {
              expect(clock.now()).toBeGreaterThanOrEqual(T0 + at);
              rung.push({ at, i });
            }),
          );
          specs.forEach((spec, i) => {
            if (spec.cancelled) cancels[i]?.();
          });
          const wanted = specs
            .map(({ at, cancelled }, i) => ({ at, i, cancelled }))
            .filter((spec) => !spec.cancelled)
            .toSorted((a, b) => a.at - b.at || a.i - b.i)
            .map(({ at, i }) => ({ at, i }));
          expect(alarms.size).toBe(wanted.length);
          await clock.advance(90_000);
          expect(rung).toEqual(wanted);
          expect(alarms.size).toBe(0);
          expect(clock.pending).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('needs one timer however many alarms there are, and none where there are none', () => {
    const clock = new ManualClock(T0);
    const alarms = new HeapAlarms(clock);
    const cancels = Array.from({ length: 100 }, (_, i) =>
      alarms.at(T0 + 100_000 - i * 1000, () => undefined),
    );
    expect(clock.pending).toBe(1);
    for (const cancel of cancels) cancel();
    expect(alarms.size).toBe(0);
    alarms.at(T0 + 5, () => undefined);
    alarms.clear();
    expect(clock.pending).toBe(0);
  });

  it('rings 10,000 alarms of one instant in one turn', async () => {
    const clock = new ManualClock(T0);
    const alarms = new HeapAlarms(clock);
    let rung = 0;
    let afterTurn = -1;
    for (let i = 0; i < 10_000; i++) {
      alarms.at(T0 + 1000, () => {
        if (rung++ === 0) queueMicrotask(() => (afterTurn = rung));
      });
    }
    await clock.advance(1000);
    expect(afterTurn).toBe(10_000);
  });

  it('sees a clock that was set forward within 30 s', async () => {
    const clock = new ManualClock(T0);
    const alarms = new HeapAlarms(clock);
    let rung = false;
    alarms.at(T0 + 3_600_000, () => (rung = true));
    clock.set(T0 + 7_200_000);
    await clock.advance(29_999);
    expect(rung).toBe(false);
    await clock.advance(1);
    expect(rung).toBe(true);
  });

  it('waits on when the clock was set back, and says so once', async () => {
    const clock = new ManualClock(T0);
    const back: number[] = [];
    const alarms = new HeapAlarms(clock, { onSetBack: (ms) => back.push(ms) });
    let rung = 0;
    alarms.at(T0 + 10_000, () => rung++);
    clock.set(T0 - 60_000);
    await clock.advance(69_999);
    expect(rung).toBe(0);
    await clock.advance(1);
    expect(rung).toBe(1);
    expect(back).toEqual([50_000]);
  });

  it('goes on after a callback that throws', async () => {
    const clock = new ManualClock(T0);
    const errors: unknown[] = [];
    const alarms = new HeapAlarms(clock, { onError: (error) => errors.push(error) });
    const rung: string[] = [];
    alarms.at(T0 + 1, () => {
      throw new Error('boom');
    });
    alarms.at(T0 + 1, () => rung.push('same instant'));
    alarms.at(T0 + 2, () => rung.push('later'));
    await clock.advance(10);
    expect(rung).toEqual(['same instant', 'later']);
    expect(errors).toHaveLength(1);
  });

  it('lets a callback cancel another of the same instant, and set one that is due already', async () => {
    const clock = new ManualClock(T0);
    const alarms = new HeapAlarms(clock);
    const rung: string[] = [];
    const cancels: (() => void)[] = [];
    alarms.at(T0 + 1, () => {
      cancels[0]?.();
      alarms.at(T0, () => rung.push('new'));
      rung.push('first');
    });
    cancels.push(alarms.at(T0 + 1, () => rung.push('cancelled')));
    await clock.advance(1);
    expect(rung).toEqual(['first', 'new']);
  });
});
