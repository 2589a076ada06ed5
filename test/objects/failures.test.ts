import { describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { isAbsent, storeError } from '../../src/objects/failures.ts';

const PLACE = { connection: 'media', address: 'http://store', bucket: 'videos' };
const WHERE = 'the object store "media" (http://store)';

function answer(status: number, name: string, message = ''): Error {
  return Object.assign(new Error(message), {
    name,
    $metadata: { httpStatusCode: status },
    $response: { big: true },
  });
}
function broken(code: string): Error {
  return Object.assign(new Error(`connect ${code}`), { code });
}

describe('what a store or the way to it says', () => {
  it.each([
    [answer(404, 'NoSuchBucket'), 'BUCKET_NOT_FOUND', 'has no bucket "videos"'],
    [answer(403, 'AccessDenied', 'Access Denied.'), 'OBJECT_ACCESS_DENIED', '(AccessDenied: Access Denied.)'],
    [answer(403, '403', 'UnknownError'), 'OBJECT_ACCESS_DENIED', 'refuses access to the bucket "videos"'],
    [answer(400, 'ExpiredToken'), 'OBJECT_ACCESS_DENIED', 'refuses the token'],
    [answer(403, 'RequestTimeTooSkewed'), 'OBJECT_ACCESS_DENIED', 'the two clocks differ'],
    [answer(301, 'PermanentRedirect'), 'OBJECT_ACCESS_DENIED', 'in another region (PermanentRedirect)'],
    [answer(400, 'AuthorizationHeaderMalformed', 'expecting eu-x'), 'OBJECT_ACCESS_DENIED', 'expecting eu-x'],
    [
      answer(503, 'SlowDown', 'Reduce your rate'),
      'OBJECT_STORE_UNAVAILABLE',
      'it answers 503 (SlowDown: Reduce',
    ],
    [answer(429, 'TooManyRequests'), 'OBJECT_STORE_UNAVAILABLE', 'it answers 429'],
    [answer(400, 'KeyTooLongError', 'too long'), 'INVALID_ARGUMENT', '400 (KeyTooLongError: too long)'],
    [
      answer(200, 'SyntaxError', 'unexpected <'),
      'OBJECT_STORE_UNAVAILABLE',
      'does not answer as an S3 store',
    ],
    [broken('ECONNREFUSED'), 'OBJECT_STORE_UNAVAILABLE', 'refuses the connection'],
    [broken('ENOTFOUND'), 'OBJECT_STORE_UNAVAILABLE', 'its host name is unknown'],
    [broken('ECONNRESET'), 'OBJECT_STORE_UNAVAILABLE', 'broke off the connection (ECONNRESET)'],
    [broken('EPROTO'), 'OBJECT_STORE_UNAVAILABLE', 'does not speak TLS'],
    [
      broken('SELF_SIGNED_CERT_IN_CHAIN'),
      'OBJECT_STORE_UNAVAILABLE',
      'a certificate that is not trusted here',
    ],
    [broken('CERT_HAS_EXPIRED'), 'OBJECT_STORE_UNAVAILABLE', 'has expired'],
    [new AggregateError([broken('ECONNREFUSED')]), 'OBJECT_STORE_UNAVAILABLE', 'refuses the connection'],
    ['odd', 'OBJECT_STORE_UNAVAILABLE', 'broke off the connection (odd)'],
  ])('%s becomes %s', (error, code, text) => {
    const found = storeError(error, PLACE);
    expect(found).toMatchObject({ code, message: expect.stringContaining(text) });
    expect(found.message.startsWith(`${WHERE} `)).toBe(true);
    expect(found.fields.fix).toMatch(/\w{4}/);
    // The SDK's request holds the token, its answer a socket.
    expect(found.cause).not.toHaveProperty('$response');
  });

  it('stays as it is where it is in the words of the product already', () => {
    const error = new TappetError('SECRET_UNREADABLE', 'the environment variable S3_KEY is not set');
    expect(storeError(error, PLACE)).toBe(error);
  });

  it.each([
    [answer(404, 'NoSuchKey'), false, true],
    [answer(404, 'NotFound'), false, true],
    [answer(404, 'NoSuchBucket'), false, false],
    [answer(412, 'PreconditionFailed'), false, true],
    [answer(405, 'MethodNotAllowed'), true, true],
    [answer(405, 'MethodNotAllowed'), false, false],
    [answer(400, 'InvalidArgument'), true, true],
    [answer(400, 'InvalidArgument'), false, false],
    [answer(403, 'AccessDenied'), true, false],
  ])('%s (version asked for: %s) means that the object is not there: %s', (error, versionAsked, absent) => {
    expect(isAbsent(error, versionAsked)).toBe(absent);
  });
});
