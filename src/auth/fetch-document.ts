import type { Clock } from '../core/clock.ts';
import type { Fetch } from '../core/fetch.ts';
import type { JsonObject } from '../core/json.ts';
import { errorText } from '../core/errors.ts';
import { parseStrictObject } from './strict-json.ts';

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 256 * 1024;

export interface FetchDeps {
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** Plain http too. */
  readonly allowHttp: boolean;
}

/** Why a URL of an issuer may not be asked, or undefined. */
export function urlProblem(url: string, allowHttp: boolean): string | undefined {
  if (!URL.canParse(url)) return `${url} is not a URL`;
  const { protocol, username, password } = new URL(url);
  if (protocol !== 'https:' && !(allowHttp && protocol === 'http:')) {
    return `${url} is not https; allowHttp: true permits plain http for an issuer in a closed network`;
  }
  return username + password === '' ? undefined : 'the URL holds a user name or password';
}

/**
 * Gets one JSON object from an issuer: no redirects, at most 256 KiB, 5 s for all of it. Throws an Error whose message
 * says what went wrong, for the log.
 */
export async function fetchDocument(url: string, deps: FetchDeps): Promise<JsonObject> {
  const problem = urlProblem(url, deps.allowHttp);
  if (problem !== undefined) throw new Error(problem);
  const abort = new AbortController();
  let cancelTimer = (): void => {};
  const timeout = new Promise<never>((_, reject) => {
    cancelTimer = deps.clock.setTimer(TIMEOUT_MS, () => {
      reject(new Error(`${url} did not answer within ${TIMEOUT_MS / 1000} s`));
      abort.abort();
    });
  });
  try {
    return await Promise.race([timeout, getObject(url, deps.fetch, abort.signal)]);
  } finally {
    cancelTimer();
    abort.abort();
  }
}

async function getObject(url: string, fetch: Fetch, signal: AbortSignal): Promise<JsonObject> {
  const headers = { accept: 'application/json' };
  const response = await fetch(url, { headers, signal, redirect: 'error' }).catch((error: unknown) => {
    // undici says only "fetch failed"; what helps stands in its cause.
    const cause = error instanceof Error && error.cause !== undefined ? `: ${errorText(error.cause)}` : '';
    throw new Error(`${url}: ${errorText(error)}${cause}`, { cause: error });
  });
  if (response.status !== 200) throw new Error(`${url} answered ${response.status}`);
  const body = await readLimited(response);
  if (body === undefined) throw new Error(`${url} answered more than ${MAX_BYTES / 1024} KiB`);
  const document = parseStrictObject(body, MAX_BYTES);
  if (document === undefined) throw new Error(`${url} did not answer with a valid JSON object`);
  return document;
}

/** undefined where the body is longer; it is not read to its end then. */
async function readLimited(response: Response): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
