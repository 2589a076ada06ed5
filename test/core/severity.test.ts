import { expect, test } from 'vitest';
import { meaningOf, reaches } from '../../src/core/severity.ts';

test.each([
  ['{"severity":"WARNING","message":"low"}', { severity: 'WARNING', message: 'low' }],
  ['{"level":"warn","msg":"low"}', { severity: 'WARNING', message: 'low' }],
  ['{"level":50,"msg":"pino"}', { severity: 'ERROR', message: 'pino' }],
  ['{"level":60}', { severity: 'CRITICAL' }],
  ['{"severity":200}', { severity: 'INFO' }],
  ['{"severity":"fatal"}', { severity: 'CRITICAL' }],
  ['  {"severity":"Debug"}\r', { severity: 'DEBUG' }],
  ['{"severity":"odd","level":"notice"}', { severity: 'NOTICE' }],
  ['{"severity":7}', { severity: 'DEFAULT' }],
  ['{"message":{"a":1}}', { severity: 'DEFAULT' }],
  ['{"severity":"constructor"}', { severity: 'DEFAULT' }],
  ['{"severity":"ERROR"', { severity: 'DEFAULT' }],
  ['{"severity":"ERROR"} and more', { severity: 'DEFAULT' }],
  ['ERROR: it broke', { severity: 'DEFAULT' }],
  ['', { severity: 'DEFAULT' }],
])('%s on stdout is %j', (line, meaning) => {
  expect(meaningOf(line, 'stdout')).toEqual(meaning);
});

test('what says nothing of itself is an error on stderr', () => {
  expect(meaningOf('it broke', 'stderr')).toEqual({ severity: 'ERROR' });
  expect(meaningOf('{"message":"m"}', 'stderr')).toEqual({ severity: 'ERROR', message: 'm' });
  expect(meaningOf('{"severity":"INFO"}', 'stderr')).toEqual({ severity: 'INFO' });
});

test('a very long line is not parsed', () => {
  const line = JSON.stringify({ severity: 'ALERT', data: 'x'.repeat(100_000) });
  expect(meaningOf(line, 'stdout')).toEqual({ severity: 'DEFAULT' });
});

test('severities are ordered as in Cloud Logging', () => {
  expect(reaches('ERROR', 'WARNING')).toBe(true);
  expect(reaches('WARNING', 'WARNING')).toBe(true);
  expect(reaches('NOTICE', 'WARNING')).toBe(false);
  expect(reaches('DEFAULT', 'DEBUG')).toBe(false);
});
