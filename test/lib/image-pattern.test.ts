import { expect, it } from 'vitest';
import { isAllowedImage, patternProblem, registryOf, wholeName } from '../../src/lib/image-pattern.ts';

const ID = 'ab'.repeat(32);
const DIGEST = `sha256:${ID}`;

it.each([
  ['alpine', 'docker.io', 'docker.io/library/alpine'],
  ['acme/tool', 'docker.io', 'docker.io/acme/tool'],
  ['index.docker.io/acme/tool', 'docker.io', 'docker.io/acme/tool'],
  ['docker.io/alpine', 'docker.io', 'docker.io/library/alpine'],
  ['ghcr.io/acme/tool', 'ghcr.io', 'ghcr.io/acme/tool'],
  ['GHCR.io/acme/tool', 'ghcr.io', 'ghcr.io/acme/tool'],
  ['localhost/x', 'localhost', 'localhost/x'],
  ['127.0.0.1:5000/x', '127.0.0.1:5000', '127.0.0.1:5000/x'],
])('%s is of the registry %s, and as a whole %s', (repository, host, whole) => {
  expect([registryOf(repository), wholeName(repository)]).toEqual([host, whole]);
});

it.each([
  ['alpine:3.20', 'alpine'],
  ['alpine', 'alpine:latest'],
  ['docker.io/library/alpine:3.20', 'alpine:3.*'],
  ['alpine:3.20', 'docker.io/library/alpine'],
  ['alpine:3.20', '*'],
  ['acme/tool:1', 'acme/*'],
  ['acme/a/b:1', 'acme/**'],
  ['ghcr.io/acme/tool:1', 'ghcr.io/acme/*'],
  ['ghcr.io/acme/tool:1', '*.io/acme/tool'],
  ['ghcr.io/acme/tool:1', '**/tool'],
  ['127.0.0.1:5000/x:1', '127.0.0.1:5000/**'],
  [`alpine@${DIGEST}`, 'alpine'],
  [`alpine@${DIGEST}`, 'alpine@*'],
  [`alpine:3@${DIGEST}`, `alpine@${DIGEST}`],
  [`ghcr.io/a/b@${DIGEST}`, '**@sha256:*'],
  ['ghcr.io/a/b:1', '**'],
  [DIGEST, '**'],
  [DIGEST, DIGEST],
])('%s may run where %s stands', (image, pattern) => {
  expect(isAllowedImage(image, ['nothing/else', pattern])).toBe(true);
});

it.each([
  ['alpine:3.20', 'alpine:3.2'],
  ['alpine:3x20', 'alpine:3.20'],
  ['alpine', 'alpine:3'],
  ['acme/a/b:1', 'acme/*'],
  ['evil.example/acme/tool:1', 'acme/*'],
  ['evil.example/library/alpine:1', 'alpine'],
  ['ghcr.io.evil.example/acme/tool:1', 'ghcr.io/acme/*'],
  ['xghcr.io/acme/tool:1', 'ghcr.io/acme/*'],
  ['ghcr.io:444/acme/tool:1', 'ghcr.io/acme/*'],
  ['ghcr.io/acme-evil/tool:1', 'ghcr.io/acme/*'],
  // The tag beside a digest says nothing: the digest may be of any image.
  [`alpine:3@${DIGEST}`, 'alpine:3'],
  ['alpine:3', 'alpine@*'],
  // An id names whatever is on the engine.
  [DIGEST, '*'],
  [ID, '*'],
  [ID.slice(0, 12), '*'],
  [DIGEST, 'sha256:*'],
  [DIGEST.slice(0, 11), '*'],
  ['no image at all', '*'],
])('%s may not run where only %s stands', (image, pattern) => {
  expect(isAllowedImage(image, [pattern])).toBe(false);
});

it('allows nothing where no pattern stands', () => {
  expect(isAllowedImage('alpine', [])).toBe(false);
});

it.each(['', 'https://ghcr.io/**', 'a b', 'alpine:[34]', 'ghcr.io/Acme/*'])(
  'has something to say of the pattern "%s"',
  (pattern) => {
    expect(patternProblem(pattern)).not.toBeNull();
  },
);

it.each(['*', '**', '**@*', 'GHCR.io/acme/**', 'alpine:3.*', `alpine@${DIGEST}`, DIGEST])(
  'takes the pattern %s as it is',
  (pattern) => {
    expect(patternProblem(pattern)).toBeNull();
  },
);
