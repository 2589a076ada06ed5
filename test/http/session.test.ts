import { expect, test } from 'vitest';
import type { Principal } from '../../src/core/auth.ts';
import { PERMISSIONS } from '../../src/core/permissions.ts';
import { Sessions } from '../../src/http/session.ts';
import { SystemIds } from '../../src/lib/system-ids.ts';
import { ManualClock } from '../support/manual-clock.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function setUp() {
  const clock = new ManualClock();
  return { clock, sessions: new Sessions({ clock, ids: new SystemIds() }) };
}

/** A session by a fresh link. */
function opened(sessions: Sessions, by?: Principal): string {
  const session = sessions.begin(sessions.newCode(by).code);
  if (session === undefined) throw new Error('a fresh code did not work');
  return session;
}

test('a code works once, and says when it ends', () => {
  const { clock, sessions } = setUp();
  const { code, expireTime } = sessions.newCode();
  expect(expireTime).toBe(clock.now() + 10 * MINUTE);
  // 26 digits of base32: at least 128 bits.
  expect(code).toMatch(/^[0-9a-z]{26}$/);
  const session = sessions.begin(code) ?? '';
  expect(sessions.principal(session)?.name).toBe('admin');
  expect(sessions.begin(code)).toBeUndefined();
  expect(session).not.toBe(code);
});

test.each(['', 'x', '0'.repeat(26), 'ä'.repeat(26)])('the code %j is nobody’s', (code) => {
  const { sessions } = setUp();
  sessions.newCode();
  opened(sessions);
  expect(sessions.begin(code)).toBeUndefined();
  expect(sessions.principal(code)).toBeUndefined();
});

test('a code is no session and a session is no code', () => {
  const { sessions } = setUp();
  const session = opened(sessions);
  const { code } = sessions.newCode();
  expect(sessions.principal(code)).toBeUndefined();
  expect(sessions.begin(session)).toBeUndefined();
});

test('a code ends after ten minutes, a session after twelve hours', async () => {
  const { clock, sessions } = setUp();
  const early = sessions.newCode().code;
  const late = sessions.newCode().code;
  await clock.advance(10 * MINUTE - 1);
  const session = sessions.begin(early) ?? '';
  await clock.advance(1);
  expect(sessions.begin(late)).toBeUndefined();
  await clock.advance(12 * HOUR - 2);
  expect(sessions.principal(session)).toBeDefined();
  await clock.advance(1);
  expect(sessions.principal(session)).toBeUndefined();
});

test('a clock that is put right by seconds ends nothing; one that is set back far prolongs nothing', () => {
  const { clock, sessions } = setUp();
  const session = opened(sessions);
  const { code } = sessions.newCode();
  clock.set(clock.now() - 5_000);
  expect(sessions.principal(session)).toBeDefined();
  clock.set(clock.now() - HOUR);
  expect(sessions.principal(session)).toBeUndefined();
  expect(sessions.begin(code)).toBeUndefined();
});

test('there are at most 16 codes and 64 sessions; the oldest go first', () => {
  const { sessions } = setUp();
  const codes = Array.from({ length: 17 }, () => sessions.newCode().code);
  expect(sessions.begin(codes[0] ?? '')).toBeUndefined();
  expect(sessions.begin(codes[1] ?? '')).toBeDefined();
  const all = Array.from({ length: 65 }, () => opened(sessions));
  expect(sessions.principal(all[0] ?? '')).toBeUndefined();
  expect(all.slice(1).every((session) => sessions.principal(session) !== undefined)).toBe(true);
});

test('a session may read what its maker may read, and nothing but read', () => {
  const { sessions } = setUp();
  const whole = sessions.principal(opened(sessions));
  const writing = ['run', 'runWithOverrides', 'cancel', 'delete', 'fire', 'create', 'forget'];
  const reading = PERMISSIONS.filter((permission) => !writing.includes(permission.split('.').at(-1) ?? ''));
  expect([...(whole?.permissions ?? [])].sort()).toEqual([...reading].sort());
  const permissions = new Set(['run.executions.list', 'run.executions.delete'] as const);
  const part = sessions.principal(opened(sessions, { name: 'some', permissions }));
  expect(part).toEqual({ name: 'some', permissions: new Set(['run.executions.list']) });
});
