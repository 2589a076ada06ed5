import { check } from 'recheck';
import type { Diagnostics } from 'recheck';
import { describe, expect, test } from 'vitest';
import { NAMESPACE, SERVICE_ACCOUNT } from '../../triggers/webhook/oidc-config.ts';
import { productRegexes, regexesOf } from '../support/regexes.ts';

const AT_A_TIME = 4;
/** The judge is quick, but not on a machine that does other things. */
const PATIENCE_MS = 60_000;

/** Patterns that are put together of constants when the program starts, by file and expression: what they became. */
const MADE: readonly { readonly file: string; readonly expression: string; readonly pattern: RegExp }[] = [
  { file: 'triggers/webhook/oidc-config.ts', expression: '`^${label}$`', pattern: NAMESPACE },
  {
    file: 'triggers/webhook/oidc-config.ts',
    expression: '`^${label}/${label}(?:\\\\.${label})*$`',
    pattern: SERVICE_ACCOUNT,
  },
];

interface Judged {
  readonly source: string;
  readonly flags: string;
}

async function judge<T extends Judged>(regexes: readonly T[]): Promise<[T, Diagnostics][]> {
  const rest = [...regexes];
  const judged: [T, Diagnostics][] = [];
  const work = async (): Promise<void> => {
    for (let one = rest.pop(); one !== undefined; one = rest.pop())
      judged.push([one, await check(one.source, one.flags, { timeout: PATIENCE_MS })]);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return judged;
}

/** For the message of a failure: where it stands, and a text that it takes long for. */
function verdict(place: string, found: Diagnostics): string {
  if (found.status === 'safe') return '';
  const why =
    found.status === 'vulnerable'
      ? `${found.complexity.summary}, for example "${found.attack.string.slice(0, 60)}"`
      : JSON.stringify(found.error);
  return `${place} /${found.source}/${found.flags}: ${why}`;
}

const { written, made } = productRegexes();

describe('the regular expressions of the product', () => {
  test('are found by the parser, wherever they stand', () => {
    const text = 'const a = 6 / 2 / 1; const b = [/a(b|c)+/gi, new RegExp("x+$", "u"), RegExp(`^${a}$`)];';
    expect(regexesOf('x.ts', text)).toMatchObject({
      written: [
        { source: 'a(b|c)+', flags: 'gi' },
        { source: 'x+$', flags: 'u' },
      ],
      made: [{ expression: '`^${a}$`' }],
    });
    expect(written.length).toBeGreaterThan(100);
  });

  test('take linear time, whatever they are given: all of them, and none is left unjudged', async () => {
    const assembled = MADE.map(({ file, pattern: { source, flags } }) => ({ place: file, source, flags }));
    const judged = await judge([...written, ...assembled]);
    expect(judged).toHaveLength(written.length + MADE.length);
    expect(judged.map(([{ place }, found]) => verdict(place, found)).filter(Boolean)).toEqual([]);
  }, 180_000);

  test('are never made of what a user or a caller wrote', () => {
    const known = MADE.map(({ file, expression }) => ({ file, expression }));
    expect(made.map(({ file, expression }) => ({ file, expression }))).toEqual(known);
  });

  test('the judge sees one that takes longer', async () => {
    const slow = ['^(a+)+$', '\\s+$', '"(?:[^"\\\\]|\\\\.)*"'].map((source) => ({ source, flags: 'g' }));
    const judged = await judge(slow);
    expect(judged.map(([, { status }]) => status)).toEqual(['vulnerable', 'vulnerable', 'vulnerable']);
  }, 60_000);
});
