import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { quickJson } from '../../src/config/quick-json.ts';
import { quickYaml } from '../../src/config/quick-yaml.ts';

/** What the whole parser makes of it; undefined where it refuses. */
function whole(text: string): unknown {
  try {
    return parse(text, { logLevel: 'silent' });
  } catch {
    return undefined;
  }
}

const texts = fc.oneof(
  fc.constantFrom('alpine:3.20', '0 2 * * *', '*/5 * * * *', '30m', '${{ event.data.name }}', "it's", 'a: b'),
  fc.constantFrom(
    'null',
    'True',
    '~',
    '1e3',
    '0x1F',
    '.5',
    '-n',
    '...',
    '---',
    '',
    ' x',
    'a #b',
    'x:',
    '1_000',
  ),
  fc.string({ maxLength: 8 }),
);
const names = fc.oneof(
  fc.constantFrom('jobs', 'a', 'on', 'null', '1', '__proto__'),
  fc.string({ maxLength: 4 }),
);
const { values } = fc.letrec<{ values: unknown; map: unknown; list: unknown }>((tie) => ({
  values: fc.oneof(
    { depthSize: 'small' },
    texts,
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    tie('map'),
    tie('list'),
  ),
  map: fc.dictionary(names, tie('values'), { maxKeys: 4 }),
  list: fc.array(tie('values'), { maxLength: 4 }),
}));

/** Lines that may or may not belong together. */
const PIECES = [
  'a:',
  'a: 1',
  'b: x',
  'b: x # why',
  '"c": "d"',
  "d: 'e'",
  '- x',
  '-',
  '- a: 1',
  '- - x',
  '- "y"',
  '# why',
  '',
  'plain',
  'e: "f',
  'g: [1, 2]',
  'h: {}',
  'i: &j k',
  'l: *j',
  'm: |',
  'n:o',
  'p: q: r',
  'null: 1',
  '? s',
  '---',
  '...',
  'a: ...',
  '- ---',
  't: 1:30',
  'u: .5',
  'v: ../w',
  'w: "\\n\\u0041"',
  'x: "\\t"',
  'y: +',
  "z: ''",
  '<<: x',
  'a b: c',
  'a : b',
  'k: #',
  '- # c',
  'k: "a" b',
  'k: .inf',
  '__proto__: 1',
  '"__proto__": 1',
  '  ',
  '\tq: 1',
];
const line = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom(...PIECES))
  .map(([by, text]) => '  '.repeat(by).slice(by % 2) + text);
const lines = fc.array(line, { minLength: 1, maxLength: 6 }).map((all) => all.join('\n'));

const tame = fc.letrec<{ value: unknown; map: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('alpine:3.20', '0 2 * * *', '30m', '${{ event.data.name }}', "it's", 'true', ''),
    fc.integer(),
    fc.boolean(),
    tie('map'),
    fc.array(tie('value'), { maxLength: 3 }),
  ),
  map: fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), tie('value'), { minKeys: 1, maxKeys: 4 }),
})).map;
/** A plain text with a line that may not belong there. */
const disturbed = fc.tuple(tame, fc.nat(), line).map(([value, at, extra]) => {
  const all = stringify(value).split('\n');
  all.splice(at % all.length, 0, extra);
  return all.join('\n');
});

describe('the quick reader of YAML', () => {
  it.each([
    ['lines in any order', lines, 2000],
    ['plain texts', tame.map((value) => stringify(value)), 300],
    ['plain texts with a line too many', disturbed, 1000],
    ['values of all kinds', values.map((value) => stringify(value)), 300],
    ['quoted values', values.map((value) => stringify(value, { defaultStringType: 'QUOTE_DOUBLE' })), 300],
  ])('reads what it reads as the whole parser does: %s', (_, arbitrary, numRuns) => {
    let read = 0;
    fc.assert(
      fc.property(arbitrary, (text) => {
        const quick = quickYaml(text);
        if (quick === undefined) return;
        read++;
        expect([text, quick]).toEqual([text, whole(text)]);
      }),
      { numRuns },
    );
    // Else this would prove nothing.
    expect(read).toBeGreaterThan(numRuns / 60);
  });

  it('reads a plain configuration', () => {
    const text = `---
# All of it
jobs:
  report:
    image: alpine:3.20   # small
    args:
    - -c
    - 'it''s "done"'
    env: {}
    cpu: 0.5
triggers:
  nightly:
    source: 
      kind: cron
      cron: "0 2 * * *"
    run:
      job: report
      env:
        NAME: \${{ event.data.name }}
        URL: http://x/#y
      args:
        - - nested
        - name: z
          on: true
        -
`;
    expect(quickYaml(text)).toEqual({
      jobs: { report: { image: 'alpine:3.20', args: ['-c', 'it\'s "done"'], env: {}, cpu: 0.5 } },
      triggers: {
        nightly: {
          source: { kind: 'cron', cron: '0 2 * * *' },
          run: {
            job: 'report',
            env: { NAME: '${{ event.data.name }}', URL: 'http://x/#y' },
            args: [['nested'], { name: 'z', on: true }, null],
          },
        },
      },
    });
  });

  it.each(['a: &b c', 'a: {b: c}', 'a: |\n  b', 'a: b\n  c', 'a: 1\na: 2', 'a:\tb', 'a: b\r\nc: d', ''])(
    'leaves %j to the whole one',
    (text) => {
      expect(quickYaml(text)).toBeUndefined();
    },
  );
});

describe('the quick reader of JSON', () => {
  it('reads values, comments and all', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = `// so\n${JSON.stringify(value, null, 1)} /* and "so": */`;
        expect(quickJson(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it.each(['{"a": 1, "a": 2}', '{"b": [{"a": 1, "a": 1}]}', '{"a": 1,}', '{"a"}', ''])(
    'leaves %s to the whole one',
    (text) => {
      expect(quickJson(text)).toBeUndefined();
    },
  );
});
