import { TappetError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { holdsInOrder } from './words.ts';

/** Why an image could not be had. The last three may pass by themselves. */
export type PullCode = Extract<
  ErrorCode,
  'IMAGE_NOT_FOUND' | 'IMAGE_UNAUTHORIZED' | 'IMAGE_RATE_LIMITED' | 'IMAGE_DISK_FULL' | 'IMAGE_PULL_FAILED'
>;

export interface PullAttempt {
  readonly image: string;
  /** `host[:port]` of the registry. */
  readonly host: string;
  /** Whether an account of `server.registries` was sent. */
  readonly withAccount: boolean;
}

/** What an engine or a registry said of a pull, made readable. */
export function pullFailure(pull: PullAttempt, words: string, status: number): TappetError {
  const code = classOf(words, status);
  const said = words.trim() || `HTTP ${status}`;
  if (code === 'IMAGE_NOT_FOUND' && isMissingOrPrivate(words)) return missingOrPrivate(pull, said);
  return new TappetError(code, `${WHAT[code](pull)}: ${said}`, { fix: FIX[code](pull) });
}

/** Said of names that do not exist and of images that are private alike, so that strangers learn nothing. */
const isMissingOrPrivate = (words: string): boolean =>
  holdsInOrder(words, 'denied', 'does not exist') || holdsInOrder(words, 'denied', 'may require');

function missingOrPrivate({ image, host, withAccount }: PullAttempt, said: string): TappetError {
  const who = withAccount ? 'the account of server.registries' : 'strangers';
  const message = `The registry ${host} has no image "${image}", or does not let ${who} pull it: ${said}`;
  const account = withAccount
    ? `correct the account under server.registries."${host}", or have it allowed to read the image`
    : `give an account under server.registries."${host}"`;
  const fix = `Check the name; where it is right, ${account}.`;
  return new TappetError(withAccount ? 'IMAGE_UNAUTHORIZED' : 'IMAGE_NOT_FOUND', message, { fix });
}

/** It took too long. */
export function pullGivenUp(pull: PullAttempt, why: string, cause: unknown): TappetError {
  const message = `Pulling the image "${pull.image}" was given up: ${why} (server.pulls).`;
  return new TappetError('IMAGE_PULL_FAILED', message, { fix: FIX.IMAGE_PULL_FAILED(pull) }, cause);
}

const WHAT: Readonly<Record<PullCode, (pull: PullAttempt) => string>> = {
  IMAGE_NOT_FOUND: ({ image }) => `There is no image "${image}", neither on the engine nor at its registry`,
  IMAGE_UNAUTHORIZED: ({ image, host, withAccount }) =>
    withAccount
      ? `The registry ${host} does not let the account of server.registries pull "${image}"`
      : `The registry ${host} does not let strangers pull "${image}"`,
  IMAGE_RATE_LIMITED: ({ image, host }) =>
    `The registry ${host} has had too many pulls and gives "${image}" later`,
  IMAGE_DISK_FULL: ({ image }) => `The engine’s disk has no room for the image "${image}"`,
  IMAGE_PULL_FAILED: ({ image }) => `The image "${image}" is not on the engine and could not be pulled`,
};

const FIX: Readonly<Record<PullCode, (pull: PullAttempt) => string>> = {
  IMAGE_NOT_FOUND: () => 'Check the name and tag, or build it on the engine (docker build -t NAME .).',
  IMAGE_UNAUTHORIZED: ({ host, withAccount }) =>
    withAccount
      ? `Correct the account under server.registries."${host}", or have it allowed to read the image.`
      : `Give an account under server.registries."${host}", or make the image readable for all.`,
  IMAGE_RATE_LIMITED: ({ host, withAccount }) =>
    withAccount
      ? 'It is tried again by itself; an account with a higher limit or a mirror helps for good.'
      : `It is tried again by itself; an account under server.registries."${host}" raises the limit.`,
  IMAGE_DISK_FULL: () =>
    'Make room on the engine’s disk (docker system prune), or let server.imagePrune do it.',
  IMAGE_PULL_FAILED: () =>
    'See that the engine’s machine reaches the registry, or load the image there (docker load).',
};

function classOf(words: string, status: number): PullCode {
  if (/toomanyrequests|too many requests|rate limit|\b(HTTP|status):? 429\b/i.test(words) || status === 429)
    return 'IMAGE_RATE_LIMITED';
  if (/no space left|disk quota exceeded/i.test(words)) return 'IMAGE_DISK_FULL';
  if (/manifest unknown|not found|does not exist|no such image|name unknown/i.test(words))
    return /no such host|lookup /i.test(words) ? 'IMAGE_PULL_FAILED' : 'IMAGE_NOT_FOUND';
  if (
    /unauthorized|authentication required|no basic auth|denied|forbidden/i.test(words) ||
    status === 401 ||
    status === 403
  )
    return 'IMAGE_UNAUTHORIZED';
  return status === 404 ? 'IMAGE_NOT_FOUND' : 'IMAGE_PULL_FAILED';
}
