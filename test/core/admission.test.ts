import { describe, expect, it } from 'vitest';
import {
  ADMISSION_DEFAULTS,
  capacityOf,
  chargeOf,
  coresText,
  Ledger,
  needOf,
  neverFits,
} from '../../src/core/admission.ts';
import type { Need } from '../../src/core/admission.ts';
import { JOB_DEFAULTS } from '../../src/core/job.ts';

const GIB = 1024 ** 3;
const HOUR = 3_600_000;
const SETTINGS = { cpuOvercommit: 8, memoryReserveBytes: GIB };
const HOST = { cpus: 2, memoryBytes: 9 * GIB };
/** Of 8 GiB and 16 cores to give out. */
const ledger = (...charges: { memoryBytes: number; cpuMillis: number; endBy: number }[]) =>
  new Ledger(capacityOf(HOST, SETTINGS), charges, 0);
const need = (gib: number, cores = 1, timeMs = HOUR): Need => ({
  memoryBytes: gib * GIB,
  cpuMillis: cores * 1000,
  timeMs,
});
const held = (gib: number, endBy: number, cores = 1) => ({ ...need(gib, cores), endBy });

describe('what there is to give out', () => {
  it('is memory less the reserve, once, and each core several times', () => {
    expect(capacityOf(HOST, SETTINGS)).toEqual({ memoryBytes: 8 * GIB, cpuMillis: 16_000 });
    expect(ADMISSION_DEFAULTS).toEqual({ cpuOvercommit: 8, memoryReserveBytes: 256 * 1024 ** 2 });
  });

  it('is without bounds where the engine does not tell', () => {
    expect(capacityOf({ cpus: 0, memoryBytes: 0 }, SETTINGS)).toEqual({
      memoryBytes: Infinity,
      cpuMillis: Infinity,
    });
  });

  it('is never less than nothing', () => {
    expect(capacityOf({ cpus: 1, memoryBytes: GIB / 2 }, SETTINGS).memoryBytes).toBe(0);
    expect(ledger(held(9, HOUR)).free.memoryBytes).toBe(0);
  });
});

describe('what an attempt holds', () => {
  const spec = {
    ...JOB_DEFAULTS,
    image: 'x',
    env: {},
    binds: [],
    cpu: 0.07,
    timeoutMs: 10_000,
    gracePeriodMs: 500,
  };

  it('is what its job asks for, from the claim until its timeout and grace are over', () => {
    expect(needOf(spec)).toEqual({ memoryBytes: JOB_DEFAULTS.memoryBytes, cpuMillis: 70, timeMs: 10_500 });
    expect(chargeOf({ createTime: 1000, deadline: null }, spec).endBy).toBe(1000 + 60_000 + 10_500);
    expect(chargeOf({ createTime: 1000, deadline: 20_000 }, spec).endBy).toBe(20_500);
  });
});

describe('what can never fit', () => {
  it.each([
    [
      need(8.5),
      'A task needs 8.5 GiB of memory, and the host of the container engine has 9 GiB; 1 GiB of them are kept free (server.admission.memoryReserve). Lower "memory" of the job, or use a larger host.',
    ],
    [
      need(1, 2.5),
      'A task needs 2.5 cores, and the host of the container engine has 2 cores. Lower "cpu" of the job, or use a larger host.',
    ],
    [need(8, 2), null],
  ])('%j: %s', (wanted, words) => {
    expect(neverFits(wanted, HOST, SETTINGS)).toBe(words);
  });

  it('is nothing on a host that does not tell of itself', () => {
    expect(neverFits(need(1000, 1000), { cpus: 0, memoryBytes: 0 }, SETTINGS)).toBeNull();
  });

  it('goes by what is given out where that is less than the host has', () => {
    const half = { ...SETTINGS, cpuOvercommit: 0.5 };
    expect(neverFits(need(1, 1), HOST, half)).toBeNull();
    expect(neverFits(need(1, 1.5), HOST, half)).toContain('has 1 core.');
  });
});

describe('a ledger', () => {
  it('gives memory out once', () => {
    const book = ledger(held(5, HOUR));
    expect(book.admits(need(3))).toBe(true);
    expect(book.admits(need(3.1))).toBe(false);
    book.charge(need(2));
    expect(book.free).toEqual({ memoryBytes: GIB, cpuMillis: 14_000 });
    expect(book.admits(need(1))).toBe(true);
    expect(book.admits(need(1.1))).toBe(false);
  });

  it('gives cores out several times', () => {
    const book = ledger(held(0.1, HOUR, 15));
    expect(book.admits(need(0.1, 1))).toBe(true);
    expect(book.admits(need(0.1, 1.1))).toBe(false);
  });

  it('keeps room for what is waited for: others go ahead only where they are over by then, or fit beside it', () => {
    // 3 GiB are free; of 6 GiB there are enough when the first of the two has ended.
    const book = ledger(held(3, 2 * HOUR), held(2, 5 * HOUR));
    expect(book.hold(need(6))).toBe(2 * HOUR);
    expect(book.admits(need(3, 1, HOUR))).toBe(true);
    expect(book.admits(need(3, 1, 2 * HOUR))).toBe(false);
    // Then nothing is left beside it.
    expect(book.admits(need(0.01, 1, 2 * HOUR))).toBe(false);
  });

  it('counts what fits beside it only once', () => {
    const book = ledger(held(5, 2 * HOUR));
    expect(book.hold(need(6))).toBe(2 * HOUR);
    expect(book.admits(need(2, 1, 100 * HOUR))).toBe(true);
    book.charge(need(2, 1, 100 * HOUR));
    expect(book.admits(need(0.1, 1, 100 * HOUR))).toBe(false);
    // What is over by then takes nothing of it.
    expect(book.admits(need(1, 1, HOUR))).toBe(true);
  });

  it('waits for cores as it does for memory', () => {
    const book = ledger(held(1, HOUR, 8), held(1, 9 * HOUR, 7));
    // One core is free; with the first of the two there are 9, which leaves none beside it.
    expect(book.hold(need(1, 9))).toBe(HOUR);
    expect(book.admits(need(1, 0.5, 10 * HOUR))).toBe(false);
    expect(book.admits(need(1, 1, 1000))).toBe(true);
  });

  it('never puts off the time that was given before, also where an attempt lasts beyond its own', () => {
    const late = new Ledger(capacityOf(HOST, SETTINGS), [held(5, HOUR)], 2 * HOUR);
    expect(late.hold(need(6), HOUR)).toBe(HOUR);
    expect(late.admits(need(1, 1, 1000))).toBe(true);
    late.charge(need(2, 1, 1000));
    expect(late.admits(need(1, 1, 1000))).toBe(false);
  });
});

describe('cores in words', () => {
  it.each([
    [1000, '1 core'],
    [50, '0.05 cores'],
    [2500, '2.5 cores'],
    [16_000, '16 cores'],
  ])('%i: %s', (millis, text) => {
    expect(coresText(millis)).toBe(text);
  });
});
