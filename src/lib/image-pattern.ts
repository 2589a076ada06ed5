import { parseImageRef } from './image-ref.ts';

/** Where names without a host are looked up. */
export const DOCKER_HUB = 'docker.io';
const HUB_ALIASES = new Set([DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io']);

/**
 * Ids of images that the engine has, whole or (after `sha256:`) short: they name whatever was put there, from wherever.
 * Without that in front, what is shorter than an id is asked for as a name, but looks too much like one.
 */
const IMAGE_ID = /^(?:sha256:[0-9a-f]+|[0-9a-f]{12,64})$/;

/** The registry that an image's repository names: `host[:port]`, `docker.io` where none stands there. */
export function registryOf(repository: string): string {
  return splitHost(repository).host;
}

/** `host/path`, by which two spellings of one repository are equal. */
export function wholeName(repository: string): string {
  const { host, path } = splitHost(repository);
  return `${host}/${host === DOCKER_HUB && !path.includes('/') ? `library/${path}` : path}`;
}

/** `name:tag` or `name:digest`, by which two spellings of one image are equal. */
export function wholeImage(image: string): string {
  const ref = parseImageRef(image);
  return ref === null ? image : `${wholeName(ref.repository)}:${ref.tag}`;
}

/** A registry's host under the one name that it has here. */
export function registryHost(host: string): string {
  return HUB_ALIASES.has(host) ? DOCKER_HUB : host;
}

function splitHost(name: string): { readonly host: string; readonly path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = /[.:A-Z]/.test(first) || first === 'localhost' || first.includes('**');
  if (!isHost) return { host: DOCKER_HUB, path: name };
  return { host: registryHost(first.toLowerCase()), path: name.slice(slash + 1) };
}

/**
 * Whether one of `patterns` matches the image. A pattern is the name of an image with `*` for anything without `/` and
 * `**` for anything at all; as in names, what has no host is of Docker Hub. Without a tag it means every tag and digest;
 * `name:1.*` means those tags (and no digest, which may be of any), `name@*` every digest. An image given by its id alone
 * is matched by `**` and by that id.
 */
export function isAllowedImage(image: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matches(image, pattern));
}

/** To be read after where the image stands. */
export function imageRefused(image: string, patterns: readonly string[]): string {
  const has = patterns.length === 0 ? 'it is empty' : `it has ${patterns.join(', ')}`;
  return `"${image}" is not an image that server.allowedImages lets run (${has})`;
}

function matches(image: string, pattern: string): boolean {
  if (pattern === '**') return true;
  if (IMAGE_ID.test(image)) return image === pattern;
  const ref = parseImageRef(image);
  if (ref === null) return false;
  const { name, mark, version } = splitPattern(pattern);
  if (!fits(name === '**' ? name : wholeName(name), wholeName(ref.repository))) return false;
  if (mark === '') return true;
  return mark === (image.includes('@') ? '@' : ':') && fits(version, ref.tag);
}

interface PatternParts {
  readonly name: string;
  readonly mark: '' | ':' | '@';
  readonly version: string;
}

function splitPattern(pattern: string): PatternParts {
  const at = pattern.indexOf('@');
  if (at >= 0) return { name: pattern.slice(0, at), mark: '@', version: pattern.slice(at + 1) };
  const colon = pattern.indexOf(':', pattern.lastIndexOf('/') + 1);
  if (colon < 0) return { name: pattern, mark: '', version: '' };
  return { name: pattern.slice(0, colon), mark: ':', version: pattern.slice(colon + 1) };
}

/**
 * Whether `text` is what `pattern` says. All places of the pattern where the text could be are followed at once, so that
 * many stars take no longer than few; a regular expression would try them one after the other.
 */
function fits(pattern: string, text: string): boolean {
  const parts = pattern.match(/\*+|[^*]/g) ?? [];
  /** A star may also stand for nothing. */
  const withNext = (at: number): readonly number[] =>
    parts[at]?.startsWith('*') === true ? [at, at + 1] : [at];
  let places = new Set(withNext(0));
  for (const char of text) {
    const after = new Set<number>();
    for (const at of places) {
      const part = parts[at];
      if (part === undefined) continue;
      if (part === char) for (const next of withNext(at + 1)) after.add(next);
      else if (part.length > 1 || (part === '*' && char !== '/'))
        for (const next of withNext(at)) after.add(next);
    }
    places = after;
  }
  return places.has(parts.length);
}

/** What is wrong with a pattern; null = nothing. */
export function patternProblem(pattern: string): string | null {
  if (pattern === '') return 'is empty';
  if (/^[a-z]+:\/\//.test(pattern)) return 'has no "https://" in front: write "registry.example.com/team/**"';
  if (!/^[\w.:/@*+-]+$/.test(pattern)) return 'holds characters that no image has in its name';
  const { name } = splitPattern(pattern);
  const { host, path } = splitHost(name);
  // Only the host of a name may be written large: what else is can match nothing.
  return /[A-Z]/.test(host === DOCKER_HUB ? name : path)
    ? 'has capital letters, which no image has in its name'
    : null;
}
