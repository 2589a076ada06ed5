import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { jsonErrorOffset } from '../../../triggers/webhook/json-error.ts';
import { parseJson } from '../../../triggers/webhook/json.ts';

test.each<[string, number]>([
  ['', 0],
  ['  ', 2],
  ['{', 1],
  ['[', 1],
  ['[1', 2],
  ['[1,', 3],
  ['[1,]', 3],
  ['[1 2]', 3],
  ['{"a"', 4],
  ['{"a":', 5],
  ['{"a":}', 5],
  ['{"a" 1}', 5],
  ['{"a":1,}', 7],
  ['{a:1}', 1],
  ["{'a':1}", 1],
  ['{"a":1}}', 7],
  ['[1]]', 3],
  ['{]', 1],
  ['[}', 1],
  ['{"a":1] ', 6],
  ['nul', 0],
  ['nulll', 4],
  ['NaN', 0],
  ['01', 1],
  ['1.', 1],
  ['-', 0],
  ['+1', 0],
  ['"', 1],
  ['"abc', 4],
  ['"a\nb"', 2],
  ['"a\\x"', 2],
  ['"a\\u12"', 2],
  ['1 1', 2],
])('%j stops being JSON at %i', (text, offset) => {
  expect(jsonErrorOffset(text)).toBe(offset);
});

test('says line and column', () => {
  expect(parseJson(Buffer.from('{\n  "a": 1,\n  "b" 2\n}'))).toMatchObject({
    ok: false,
    status: 400,
    detail: 'The body is not valid JSON: unexpected character at line 3, column 7.',
  });
  expect(parseJson(Buffer.from('{"a"'))).toMatchObject({ detail: expect.stringContaining('ends too early') });
});

test.each([
  ['not UTF-8', Uint8Array.from([0x22, 0xff, 0x22])],
  ['too deep', Buffer.from('['.repeat(101) + ']'.repeat(101))],
  ['very deep', Buffer.from('['.repeat(50_000) + ']'.repeat(50_000))],
  ['one long broken string', Buffer.from(`"${'a'.repeat(1_000_000)}`)],
])('refuses %s', (_name, bytes) => {
  expect(parseJson(bytes)).toMatchObject({ ok: false, status: 400 });
});

test('brackets in strings are no depth', () => {
  expect(parseJson(Buffer.from(JSON.stringify('[['.repeat(500))))).toMatchObject({ ok: true });
});

describe('against JSON.parse', () => {
  test('everything valid is walked to its end', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(3), (text, indent) => {
        const spaced = JSON.stringify(JSON.parse(text), null, indent);
        expect(jsonErrorOffset(spaced)).toBe(spaced.length);
      }),
      { numRuns: 300 },
    );
  });

  test('what stands before the offset is not what broke the text', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 2 }),
        fc.nat(),
        fc.constantFrom('', ',', '}', '"', '{', 'x', '\\'),
        (text, at, insert) => {
          const place = at % (text.length + 1);
          const broken = text.slice(0, place) + insert + text.slice(place + 1);
          if (isJson(broken)) return;
          const offset = jsonErrorOffset(broken);
          expect(offset).toBeLessThanOrEqual(broken.length);
          // It ends too early: more text could still make it JSON.
          if (offset === broken.length) return;
          // A text with the same beginning cannot be refused at another place.
          expect(jsonErrorOffset(`${broken.slice(0, offset + 1)}!`)).toBe(offset);
        },
      ),
      { numRuns: 200 },
    );
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test.each(['{"x":1e400}', '[[-1e999]]', '9'.repeat(400)])(
  'refuses the number in %s, which would become null',
  (text) => {
    expect(parseJson(Buffer.from(text))).toMatchObject({
      ok: false,
      status: 400,
      detail: 'The JSON holds a number that is too large; send it as a string.',
    });
  },
);
test('takes every number that a double holds', () => {
  expect(parseJson(Buffer.from('[1e308,-1e308,1e-400]'))).toEqual({ ok: true, value: [1e308, -1e308, 0] });
});
