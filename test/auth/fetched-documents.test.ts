import { describe, expect, test } from 'vitest';
import { fetchDocument, urlProblem } from '../../src/auth/fetch-document.ts';
import { errorText } from '../../src/core/errors.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { ManualClock } from '../support/manual-clock.ts';

const KEYS = 'https://issuer.example/keys';
const KIB = 1024;

type Answer = (init: RequestInit | undefined) => Response | Promise<Response>;
async function get(answer: Answer, { url = KEYS, allowHttp = false } = {}) {
  const clock = new ManualClock();
  let init: RequestInit | undefined;
  const fetch = async (_url: string, given?: RequestInit): Promise<Response> => {
    init = given;
    return answer(given);
  };
  const result: { document?: JsonObject; error?: string } = {};
  try {
    result.document = await fetchDocument(url, { fetch, clock, allowHttp });
  } catch (error) {
    result.error = errorText(error);
  }
  return { ...result, init, pending: clock.pending };
}
/** A JSON object of so many bytes. */
const ofSize = (bytes: number): string => `{"a":"${'x'.repeat(bytes - 8)}"}`;

describe('a document of an issuer', () => {
  test('is asked for as JSON, without redirects; then nothing is left open', async () => {
    const { document, init, pending } = await get(() => Response.json({ keys: [] }));
    expect(document).toEqual({ keys: [] });
    expect(init).toMatchObject({ headers: { accept: 'application/json' }, redirect: 'error' });
    expect(init?.signal?.aborted).toBe(true);
    expect(pending).toBe(0);
  });

  test('may be of 256 KiB, and no longer', async () => {
    expect(await get(() => new Response(ofSize(256 * KIB)))).toMatchObject({ document: {} });
    expect(await get(() => new Response(ofSize(256 * KIB + 1)))).toMatchObject({
      error: `${KEYS} answered more than 256 KiB`,
    });
  });

  test('comes with 200, with a body', async () => {
    for (const status of [201, 203, 404, 500]) {
      const answer = () => new Response('{}', { status });
      expect(await get(answer)).toMatchObject({ error: `${KEYS} answered ${status}`, pending: 0 });
    }
    expect(await get(() => new Response(null))).toMatchObject({
      error: `${KEYS} did not answer with a valid JSON object`,
    });
  });

  test('that cannot be had says why, in the words of what failed', async () => {
    const failed = (error: Error) =>
      get(() => {
        throw error;
      });
    expect(await failed(new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') }))).toMatchObject({
      error: `${KEYS}: fetch failed: ECONNREFUSED`,
    });
    expect(await failed(new Error('no route'))).toMatchObject({ error: `${KEYS}: no route` });
  });

  test('is not asked for where its address is none', async () => {
    const { error, init } = await get(() => Response.json({}), { url: 'http://issuer.example' });
    expect(error).toMatch(/^http:\/\/issuer\.example is not https; allowHttp/);
    expect(init).toBeUndefined();
    expect(
      await get(() => Response.json({}), { url: 'http://issuer.example', allowHttp: true }),
    ).toMatchObject({ document: {} });
  });
});

describe('an address', () => {
  test.each(['https://issuer.example', 'https://issuer.example:8443/a?b=c#d'])('%s may be asked', (url) => {
    expect(urlProblem(url, false)).toBeUndefined();
    expect(urlProblem(url, true)).toBeUndefined();
  });
  test('of plain http may be asked where that is allowed', () => {
    expect(urlProblem('http://127.0.0.1:8080/keys', true)).toBeUndefined();
    expect(urlProblem('http://127.0.0.1:8080/keys', false)).toMatch(/is not https/);
  });
  test.each<[string, RegExp]>([
    ['issuer.example', /^issuer\.example is not a URL$/],
    ['', /is not a URL/],
    ['file:///etc/passwd', /is not https/],
    ['ftp://issuer.example', /is not https/],
    ['https://user@issuer.example', /^the URL holds a user name or password$/],
    ['https://:password@issuer.example', /^the URL holds a user name or password$/],
  ])('%j may not, whatever is allowed', (url, why) => {
    expect(urlProblem(url, true)).toMatch(why);
  });
});
