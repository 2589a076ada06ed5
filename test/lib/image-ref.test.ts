import { expect, it } from 'vitest';
import { parseImageRef } from '../../src/lib/image-ref.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

it.each([
  ['x', 'x', 'latest'],
  ['alpine:3.20', 'alpine', '3.20'],
  ['a/b_c/d--e:V1', 'a/b_c/d--e', 'V1'],
  ['localhost:5000/x', 'localhost:5000/x', 'latest'],
  ['Registry.example:5000/team/x:1', 'Registry.example:5000/team/x', '1'],
  [`ghcr.io/team/x:1@${DIGEST}`, 'ghcr.io/team/x', DIGEST],
  [DIGEST, 'sha256', 'ab'.repeat(32)],
])('%s is %s at %s', (image, repository, tag) => {
  expect(parseImageRef(image)).toEqual({ repository, tag });
});

it.each([
  '',
  'a b',
  'UPPER:1',
  'ghcr.io/Team/x',
  'a//b',
  'a/',
  '/a',
  'a/../b',
  'a:',
  'a:b:c',
  'a@sha256:12',
  'http://x',
  'a?b',
  '-a',
  `a:${'t'.repeat(129)}`,
  'x'.repeat(401),
])('%j is no image', (image) => {
  expect(parseImageRef(image)).toBeNull();
});
