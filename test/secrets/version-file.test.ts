import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { findKey, type SecretKey } from '../../src/secrets/key.ts';
import { openVersion, parseFileName, parseVersionFile, sealVersion } from '../../src/secrets/version-file.ts';
import { anyCharacter } from '../support/texts.ts';

const TIME = '2026-01-01T00:00:00.000Z';
const of = { name: 'db', version: 1 };

async function newKey(): Promise<SecretKey> {
  const key = await findKey({ TAPPET_SECRETS_KEY: randomBytes(32).toString('hex') }, '/nowhere');
  if (key === undefined) throw new Error('no key');
  return key;
}

/** The value in the text of a file; undefined where it does not open. */
function valueIn(text: string, key: SecretKey, place = of): string | undefined {
  const file = parseVersionFile(text);
  return file.state === 'stored' ? openVersion(place, file.sealed, key) : undefined;
}

it('a value comes back as it was, whatever it is, and only at its place', async () => {
  const key = await newKey();
  const other = await newKey();
  fc.assert(
    fc.property(fc.string({ unit: anyCharacter, minLength: 1, maxLength: 200 }), fc.nat(9), (value, n) => {
      const place = { name: 'db', version: n + 1 };
      const text = sealVersion(place, Buffer.from(value), TIME, key);
      expect(valueIn(text, key, place)).toBe(value);
      expect(valueIn(text, key, { name: 'db', version: n + 2 })).toBeUndefined();
      expect(valueIn(text, key, { name: 'd', version: n + 1 })).toBeUndefined();
      expect(valueIn(text, other, place)).toBeUndefined();
    }),
    { numRuns: 50 },
  );
});

it('no bit of a file can be turned so that another value comes out', async () => {
  const key = await newKey();
  const whole = Buffer.from(sealVersion(of, Buffer.from('hunter2 and'), TIME, key));
  const { nonce, box } = JSON.parse(whole.toString()) as { nonce: string; box: string };
  // 27 bytes: no digit of it holds bits that stand for nothing.
  expect(`${nonce}${box}`).not.toContain('=');
  const sealed = [nonce, box].map(
    (part) => [whole.indexOf(part), whole.indexOf(part) + part.length] as const,
  );
  let refused = 0;
  for (let bit = 0; bit < whole.length * 8; bit += 1) {
    const turned = Buffer.from(whole);
    turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const value = valueIn(turned.toString('utf8'), key);
    if (value !== undefined) expect(value).toBe('hunter2 and');
    else refused += 1;
    if (sealed.some(([from, to]) => bit >> 3 >= from && bit >> 3 < to)) expect(value).toBeUndefined();
  }
  expect(refused).toBeGreaterThanOrEqual((nonce.length + box.length) * 8);
});

it.each(['', '{}', '[]', 'null', '{"format":2}', '{"format":1,"deleteTime":"yesterday"}'])(
  'what is no file of ours is damaged: %s',
  (text) => {
    expect(parseVersionFile(text)).toEqual({ state: 'damaged' });
  },
);

it.each([
  ['db@1', { name: 'db', version: 1 }],
  ['a.b-c_d@12', { name: 'a.b-c_d', version: 12 }],
  ['db@0', undefined],
  ['db@01', undefined],
  ['db', undefined],
  ['db@1.txt', undefined],
  ['draft-00000000000000aa', undefined],
])('the file name %s', (file, name) => {
  expect(parseFileName(file)).toEqual(name);
});
