import { describe, expect, it } from 'vitest';
import { mayBeInexact, withExactKeys, withExactVersionKeys } from '../../src/objects/exact-keys.ts';

const PLACE = { connection: 'media', address: 'http://store', bucket: 'videos' };
const NONE = { $metadata: {} };
const keysOf = (plain: string[], encoded: string[]): (string | undefined)[] | undefined =>
  withExactKeys(
    { ...NONE, Contents: plain.map((Key) => ({ Key })) },
    { ...NONE, Contents: encoded.map((Key) => ({ Key })) },
    PLACE,
  ).Contents?.map(({ Key }) => Key);

describe('keys that XML cannot carry', () => {
  it('are noticed by what stands in their place', () => {
    expect(mayBeInexact(undefined, [{ Key: 'a' }, {}])).toBe(false);
    expect(mayBeInexact([{ Key: 'a' }], [{ Key: 'a\ufffdb' }])).toBe(true);
  });

  it.each([
    ['form-encoded', 'a+%2B%01b', 'a +\u0001b'],
    ['percent-encoded', 'a%20+%01b', 'a +\u0001b'],
    ['not encoded', 'a +\ufffdb', 'a +\ufffdb'],
    ['not encoded, with a percent sign', '5% \ufffd', '5% \ufffd'],
    ['the character itself', 'a%EF%BF%BD', 'a\ufffd'],
  ])('come from a page that is %s', (_how, encoded, key) => {
    // oxlint-disable-next-line no-control-regex -- what a server does that cannot write it
    expect(keysOf([key.replace(/\u0001/g, '\ufffd'), 'p+q'], [encoded, 'p%2Bq'])).toEqual([key, 'p+q']);
  });

  it('are not guessed when the two pages do not fit together', () => {
    for (const encoded of [[], ['other'], ['p', 'a%01b']]) {
      expect(() => keysOf(['a\ufffdb'], encoded)).toThrow('changed the listing of the bucket "videos"');
    }
  });

  it('are exact among versions, delete markers and where the next page begins', () => {
    const plain = {
      ...NONE,
      Versions: [{ Key: 'a\ufffd' }],
      DeleteMarkers: [{ Key: 'b\ufffd' }],
      NextKeyMarker: 'b\ufffd',
    };
    const encoded = {
      ...NONE,
      Versions: [{ Key: 'a%01' }],
      DeleteMarkers: [{ Key: 'b%02' }],
      NextKeyMarker: 'b%02',
    };
    expect(withExactVersionKeys(plain, encoded, PLACE)).toMatchObject({
      Versions: [{ Key: 'a\u0001' }],
      DeleteMarkers: [{ Key: 'b\u0002' }],
      NextKeyMarker: 'b\u0002',
    });
  });
});
