import { describe, expect, it } from 'vitest';
import { dueEvent } from '../../../triggers/cron/event.ts';

const trigger = { name: 'nightly', cron: '0 2 * * *', zone: 'Europe/Berlin' };
const slot = Date.parse('2026-01-01T01:00:00Z');
const HOUR = 3_600_000;
const reason = (late: number, missed: number, missedSince: number | null) =>
  dueEvent(trigger, { slot, now: slot + late, missed, missedSince }).verdict?.reason;

describe('dueEvent', () => {
  it('is named after the scheduled instant', () => {
    expect(dueEvent(trigger, { slot, now: slot + 2900, missed: 0, missedSince: null })).toEqual({
      event: {
        specversion: '1.0',
        id: '2026-01-01T01:00:00Z',
        source: '/triggers/nightly',
        type: 'dev.tappet.cron.v1.due',
        time: '2026-01-01T01:00:00Z',
        datacontenttype: 'application/json',
        data: {
          scheduledTime: '2026-01-01T01:00:00Z',
          zone: 'Europe/Berlin',
          cron: '0 2 * * *',
          lateSeconds: 2,
          missed: 0,
          missedSince: null,
        },
      },
    });
  });

  it('starts nothing any more after an hour, and says so', () => {
    expect(reason(HOUR, 3, slot - HOUR)).toBeUndefined();
    expect(reason(HOUR + 1, 0, null)).toBe(
      'due at 2026-01-01T01:00:00Z, found 1h later, which is more than 1h',
    );
    expect(reason(3 * HOUR + 300_000, 1, slot - HOUR)).toBe(
      'due at 2026-01-01T01:00:00Z, found 3h5m later, which is more than 1h; before it, 1 slot was missed since 2026-01-01T00:00:00Z',
    );
    expect(reason(3 * HOUR, 100, slot - HOUR)).toContain('100 slots were missed since');
    expect(reason(3 * HOUR, 101, slot - HOUR)).toContain('more than 100 slots were missed since');
  });
});
