import { expect, test } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { createLog } from '../../src/lib/gateway-log.ts';

function logged(style: 'json' | 'text', fields: Record<string, unknown>, message = 'it failed'): string {
  const lines: string[] = [];
  createLog(style, (line) => lines.push(line)).error(message, fields);
  expect(lines).toHaveLength(1);
  return lines[0] ?? '';
}
const errorOf = (error: unknown): unknown =>
  Reflect.get(JSON.parse(logged('json', { error })) as object, 'error');

test('an unknown error has its stack', () => {
  expect(errorOf(new RangeError('too far'))).toMatch(/^RangeError: too far\n +at .*gateway-log\.test\.ts/);
});

test('an error with a code is its code and its words, with what caused it', () => {
  const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const error = new TappetError('ENGINE_UNAVAILABLE', 'No answer.', {}, cause);
  expect(errorOf(error)).toBe('ENGINE_UNAVAILABLE: No answer.; caused by ECONNREFUSED: connect ECONNREFUSED');
  expect(errorOf(Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' }))).toBe(
    'ENOENT: no such file',
  );
  expect(errorOf(new TappetError('INTERNAL', 'Why?', {}, 'a word'))).toBe(
    "INTERNAL: Why?; caused by 'a word'",
  );
});

test('a ring of causes ends', () => {
  const ring = new TappetError('INTERNAL', 'round');
  ring.cause = ring;
  expect(errorOf(ring)).toMatch(/^INTERNAL: round; caused by/);
});

test('text for a person is one line and moves no cursor, wherever the text came from', () => {
  const text = logged('text', { error: new Error('a\u001b[2Jb'), path: 'x\ny' }, 'bad\u001b[1A\nevent');
  expect(text).not.toMatch(/[^\P{Cc}\n]/u);
  expect(text.trimEnd()).not.toContain('\n');
  expect(text).toContain('bad\\x1b[1A | event');
  expect(text).toContain('Error: a\\x1b[2Jb | at ');
});
