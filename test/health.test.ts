import { describe, expect, it } from 'vitest';
import { TappetError } from '../src/core/errors.ts';
import { Health } from '../src/health.ts';
import { ManualClock } from './support/manual-clock.ts';

const FULL = new TappetError('STORE_UNAVAILABLE', 'The database cannot be used now: the disk is full.', {
  fix: 'free some space',
});

/** `full`: the parts whose probes fail. */
function rig(full: Set<string>) {
  const clock = new ManualClock(1_000);
  const lines: string[] = [];
  const probed: string[] = [];
  const probe = (part: string) => async () => {
    probed.push(part);
    if (full.has(part)) throw FULL;
  };
  const say = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  const log = { info: say('info'), warn: say('warn'), error: say('error') };
  const probes = { database: probe('database'), logs: probe('logs'), bodies: probe('bodies') };
  return { health: new Health({ clock, log, probes }), clock, lines, probed };
}

it('says once what cannot be written and what to do, tries it each second, and says when it works again', async () => {
  const full = new Set(['database']);
  const { health, clock, lines, probed } = rig(full);
  expect(health.status()).toEqual({ state: 'ok', problems: [] });
  const watch = health.watch('database');
  watch.failed(FULL);
  await clock.advance(2_500);
  watch.failed(FULL);
  const message = 'The database cannot be used now: the disk is full. Free some space.';
  expect(health.status()).toEqual({
    state: 'degraded',
    problems: [{ part: 'database', message, since: 1_000 }],
  });
  expect(probed).toHaveLength(2);
  full.clear();
  await clock.advance(500);
  expect(health.status()).toEqual({ state: 'ok', problems: [] });
  expect(lines).toEqual([`error ${message}`, 'info The database takes writes again.']);
  await clock.advance(10_000);
  expect([probed.length, clock.pending]).toEqual([3, 0]);
});

it('is as it was as soon as the database takes any write, and begins to try anew after the next failure', async () => {
  const { health, clock, probed } = rig(new Set(['database']));
  const watch = health.watch('database');
  watch.failed(FULL);
  watch.worked();
  expect(health.status()['state']).toBe('ok');
  expect(clock.pending).toBe(0);
  watch.failed(FULL);
  await clock.advance(1_000);
  expect(probed).toEqual(['database']);
  expect(health.status()['state']).toBe('degraded');
});

it.each(['logs', 'bodies'] as const)('stays degraded while the %s take a few bytes only', async (part) => {
  const full = new Set<string>([part]);
  const { health, clock, lines } = rig(full);
  const watch = health.watch(part);
  watch.failed(FULL);
  watch.worked();
  await clock.advance(5_000);
  watch.worked();
  expect(health.status()['state']).toBe('degraded');
  expect(lines).toHaveLength(1);
  full.clear();
  await clock.advance(1_000);
  expect(health.status()['state']).toBe('ok');
});

it('can store what comes in while only the logs fail, and cannot while the database does', () => {
  const { health } = rig(new Set());
  health.watch('logs').failed(FULL);
  expect(health.canStore).toBe(true);
  health.watch('database').failed(FULL);
  expect(health.canStore).toBe(false);
  health.watch('database').worked();
  expect(health.canStore).toBe(true);
});

it('tries nothing any more after its stop', async () => {
  const { health, clock, probed } = rig(new Set(['database']));
  health.watch('database').failed(FULL);
  health.stop();
  health.watch('logs').failed(FULL);
  await clock.advance(5_000);
  expect([probed.length, clock.pending]).toEqual([0, 0]);
});

describe('a part that comes and goes', () => {
  const FAILS = 'error The database cannot be used now: the disk is full. Free some space.';
  const WORKS = 'info The database takes writes again.';

  /** A second of failure, a second of success, for so long. */
  async function flip({ health, clock }: ReturnType<typeof rig>, seconds: number): Promise<void> {
    const watch = health.watch('database');
    for (let i = 0; i < seconds; i++) {
      if (i % 2 === 0) watch.failed(FULL);
      else watch.worked();
      await clock.advance(1_000);
    }
  }

  it('is told of at once, then once a minute with how often it failed', async () => {
    const parts = rig(new Set(['database']));
    await flip(parts, 300);
    expect(parts.lines.slice(0, 2)).toEqual([FAILS, WORKS]);
    const rest = parts.lines.slice(2);
    expect(rest.length).toBeGreaterThanOrEqual(4);
    expect(rest.length).toBeLessThanOrEqual(5);
    for (const line of rest)
      expect(line).toMatch(/It failed (29|30|31) times since the last line about it\.$/);
    await parts.clock.advance(120_000);
    // The last line tells how it is.
    expect(parts.lines.at(-1)).toContain(WORKS);
    expect(parts.clock.pending).toBe(0);
  });

  it('is told of at once again after a calm minute, and in between when the minute is over', async () => {
    const parts = rig(new Set(['database']));
    await flip(parts, 2);
    await parts.clock.advance(10_000);
    await flip(parts, 1);
    expect(parts.lines).toEqual([FAILS, WORKS]);
    await parts.clock.advance(60_000);
    expect(parts.lines).toEqual([FAILS, WORKS, FAILS]);
    await parts.clock.advance(60_000);
    parts.health.watch('database').worked();
    expect(parts.lines).toEqual([FAILS, WORKS, FAILS, WORKS]);
  });

  it('of two is told of by itself', async () => {
    const parts = rig(new Set(['database', 'logs']));
    await flip(parts, 4);
    parts.health.watch('logs').failed(FULL);
    expect(parts.lines).toEqual([FAILS, WORKS, FAILS]);
  });

  it('is told of by the stop, where a line was being held back, and says nothing any more', async () => {
    const parts = rig(new Set(['database']));
    await flip(parts, 3);
    parts.health.stop();
    expect(parts.lines).toHaveLength(3);
    expect(parts.lines[2]).toBe(FAILS);
    parts.health.watch('database').worked();
    parts.health.stop();
    await parts.clock.advance(120_000);
    expect(parts.lines).toHaveLength(3);
  });

  it('is not told of twice by the stop', async () => {
    const parts = rig(new Set(['database']));
    await flip(parts, 2);
    parts.health.stop();
    expect(parts.lines).toEqual([FAILS, WORKS]);
  });

  it('is told of within the minute where the clock was set back', async () => {
    const parts = rig(new Set());
    await flip(parts, 2);
    parts.clock.set(0);
    await flip(parts, 2);
    await parts.clock.advance(60_000);
    expect(parts.lines).toEqual([FAILS, WORKS, `${WORKS} It failed once since the last line about it.`]);
  });
});
