import { describe, expect, it } from 'vitest';
import {
  addressTextProblem,
  containerPathProblem,
  inputAddress,
  keyProblem,
  outputAddress,
} from '../../src/core/staging.ts';

describe('an address', () => {
  it('has its key as it is, nothing decoded', () => {
    expect(inputAddress('s3://store/b/a b/+%20ü//x')).toEqual({
      ok: true,
      address: { connection: 'store', bucket: 'b', key: 'a b/+%20ü//x' },
    });
  });

  it.each([
    '',
    's3://store',
    's3://store/b',
    's3:///b/k',
    's3://store//k',
    'http://store/b/k',
    's3://store/b/',
  ])('of an input is not %s', (text) => expect(inputAddress(text).ok).toBe(false));

  it.each<[string, string, boolean]>([
    ['/out/x', 's3://store/b/k', true],
    ['/out/x', 's3://store/b/', true],
    ['/out/', 's3://store/b/', true],
    ['/out/', 's3://store/b/p/', true],
    ['/out/', 's3://store/b/p', false],
  ])('of the output %s may be %s: %s', (from, to, ok) => expect(outputAddress(from, to).ok).toBe(ok));

  it.each<[string, boolean]>([
    ['s3://store/b/${{ event.data.x }}', true],
    ['s3://store/${{ event.data.x }}/k', false],
    ['s3://${{ event.data.x }}/b/k', false],
    ['${{ event.data.x }}', false],
    ['event.object', false],
  ])('as written may be %s: %s', (text, ok) => expect(addressTextProblem(text) === null).toBe(ok));
});

it.each<[string, boolean]>([
  ['a/..b/c..', true],
  ['a/../b', false],
  ['..', false],
  ['./a', false],
  ['a\0', false],
  ['a'.repeat(1024), true],
  ['é'.repeat(513), false],
])('a key may be %j: %s', (key, ok) => expect(keyProblem(key) === null).toBe(ok));

it.each<[string, boolean, boolean]>([
  ['/in/x', true, true],
  ['/in/', false, true],
  ['/', false, false],
  ['in/x', false, false],
  ['/in/../x', false, false],
  ['/in//x', false, false],
  ['/in/./x', false, false],
])('a path in the container may be %s for a file: %s, for a file or folder: %s', (path, asFile, asFolder) => {
  expect(containerPathProblem(path, { folder: false }) === null).toBe(asFile);
  expect(containerPathProblem(path, { folder: true }) === null).toBe(asFolder);
});
