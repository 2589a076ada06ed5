import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createExpressions } from '../../src/expr/expressions.ts';

const expressions = createExpressions();
const ROOTS = ['event', 'claims', 'trigger', 'task'] as const;
const scope = {
  event: {
    type: 'x',
    data: { size: 3, ratio: 0.5, name: 'bob', none: null, list: [1, 2.5, 'a'], big: 2 ** 60 },
  },
  task: { index: 4 },
};
const render = (text: string) => expressions.template(text, ROOTS).render(scope);

describe('a template', () => {
  it.each([
    ['plain', 'plain', 'plain'],
    ['', '', ''],
    ['a ${{ event.data.size }} b', 'a 3 b', 'a 3 b'],
    ['${{ event.data.size }}', '3', 3],
    ['${{event.data.ratio}}', '0.5', 0.5],
    ['${{ event.data.size > 1 }}', 'true', true],
    ['${{ event.data.list }}', '[1,2.5,"a"]', [1, 2.5, 'a']],
    ['${{ event.data.size }}${{ event.type }}', '3x', '3x'],
    [' ${{ event.data.size }}', ' 3', ' 3'],
    ['$${{ event }} ${{ event.type }}', '${{ event }} x', '${{ event }} x'],
    ['$${{ event }}', '${{ event }}', '${{ event }}'],
    ["${{ {'a': {'b': '}}'}} }}", '{"a":{"b":"}}"}}', { a: { b: '}}' } }],
    ["${{ timestamp('2026-01-01T00:00:00Z') }}", '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'],
    ["${{ duration('90s') }}", '90s', '90s'],
    ["${{ event.data.name.replace('b', 'p') }} ${{ 'a,b'.split(',') }}", 'pop ["a","b"]', 'pop ["a","b"]'],
    ["${{ 'aaa'.replace('a', 'b', 2) }}", 'bba', 'bba'],
    ["${{ 'a,b,c'.split(',', 2) }}", '["a","b,c"]', ['a', 'b,c']],
    ['${{ 9223372036854775807 }}', '9223372036854775807', '9223372036854775807'],
  ])('%s', (text, value, raw) => {
    expect(render(text)).toEqual({ ok: true, value, raw });
  });

  it.each([
    ['${{ event.data.none }}', 'it gives null'],
    ['a ${{ event.data.nmae }}', '`event.data` has no field `nmae` (did you mean `name`?)'],
    ["${{ b'abc' }}", 'it gives bytes'],
    ['${{ int }}', 'has no JSON form'],
    ['${{ 1.0 / 0.0 }}', 'Infinity'],
  ])('%s fails: %s', (text, error) => {
    expect(render(text)).toMatchObject({ ok: false, error: expect.stringContaining(error) });
  });

  it('names the part that failed', () => {
    expect(render('${{ event.type }} ${{ event.nope }}')).toMatchObject({ ok: false, clause: 'event.nope' });
  });

  it('lists the roots that it reads', () => {
    expect(expressions.template("${{ event.x }} ${{ task.index + size('claims') }}", ROOTS).roots).toEqual([
      'event',
      'task',
    ]);
    expect(expressions.template('plain', ROOTS).roots).toEqual([]);
    expect(expressions.template('${{ [1].map(event, event) }}', ROOTS).roots).toEqual([]);
  });

  it.each([
    ['a ${{ event.x', 'column 3: "${{" has no "}}" after it'],
    ['a ${{ evnt.x }}', 'column 7: unknown name "evnt"'],
    ['a ${{ }}', 'column 6: it is empty'],
    ['a ${{ event.x + }}', 'column 15: something is missing after "+"'],
  ])('%s is refused: %s', (text, message) => {
    expect(() => expressions.template(text, ROOTS)).toThrow(message);
  });

  it('keeps every whole number that JSON has', () => {
    const echo = expressions.template('${{ event.n }}', ROOTS);
    fc.assert(
      fc.property(fc.maxSafeInteger(), (n) => {
        expect(echo.render({ event: { n } })).toEqual({
          ok: true,
          value: String(n),
          raw: Object.is(n, -0) ? 0 : n,
        });
      }),
    );
    const sum = expressions.template('${{ event.n + 1 }}', ROOTS);
    fc.assert(
      fc.property(fc.integer(), (n) => {
        expect(sum.render({ event: { n } })).toMatchObject({ raw: n + 1 });
      }),
    );
  });

  it('gives back any JSON value as it was', () => {
    const echo = expressions.template('${{ event.v }}', ROOTS);
    const values = fc.jsonValue({ maxDepth: 4 }).filter((value) => value !== null);
    fc.assert(
      fc.property(values, (v) => {
        expect(echo.render({ event: { v } as never })).toMatchObject({
          ok: true,
          raw: JSON.parse(JSON.stringify(v)),
        });
      }),
    );
  });
});

describe('the result is bounded', () => {
  const large = {
    event: { text: 'x'.repeat(60_000), list: Array.from({ length: 10_000 }, () => 'abcdefgh') },
  };
  it.each([
    '${{ event.text + event.text }}',
    '${{ event.text }}${{ event.text }}',
    '${{ [1, 2].map(i, event.text) }}',
    '${{ event.list }}',
  ])('%s', (text) => {
    expect(expressions.template(text, ROOTS).render(large)).toMatchObject({
      ok: false,
      error: expect.stringContaining('larger than 64 KiB'),
    });
  });

  it('refuses to write a text of gigabytes', () => {
    expect(
      expressions.template("${{ event.text.replace('x', event.text) }}", ROOTS).render(large),
    ).toMatchObject({
      ok: false,
      error: 'its result is too long',
    });
  });

  it('maps thousands of items without nesting them', () => {
    const items = Array.from({ length: 8_000 }, (_, i) => i % 10);
    const mapped = expressions
      .template('${{ event.items.map(x, x + 1) }}', ROOTS)
      .render({ event: { items } });
    expect(mapped).toMatchObject({ ok: true, value: JSON.stringify(items.map((x) => x + 1)) });
  });

  it('keeps lists apart that grew from the same one', () => {
    const text = '${{ [[1, 2].map(x, x)].map(a, [a + [3], a + [4], a]) }}';
    expect(expressions.template(text, ROOTS).render({})).toMatchObject({
      raw: [
        [
          [1, 2, 3],
          [1, 2, 4],
          [1, 2],
        ],
      ],
    });
  });
});
