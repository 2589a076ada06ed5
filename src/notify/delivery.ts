import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/errors.ts';
import type { Fetch } from '../core/fetch.ts';
import type { ClaimedNotification, ReceiverSpec } from '../core/notify.ts';
import type { Secrets } from '../core/secrets.ts';
import { onAbort } from '../lib/service.ts';
import { receiverUrlProblem } from './receiver-url.ts';
import { parseRetryAfter } from './schedule.ts';
import { SECRET_RULE, signedHeaders, signingKey } from './standard-webhook.ts';

/** From the look-up of the name to the first line of the answer. */
export const TRY_MS = 20_000;

export interface DeliveryDeps {
  /** Connects to public addresses alone. */
  readonly fetch: Fetch;
  /** Connects to any address. */
  readonly fetchAnywhere: Fetch;
  readonly secrets: Secrets;
  readonly clock: Clock;
}

/** What one try came to. */
export type TryResult =
  | { readonly result: 'delivered'; readonly status: number }
  /** 410: the receiver wants no more, of anything. */
  | { readonly result: 'gone'; readonly status: number; readonly error: string }
  | {
      readonly result: 'failed';
      readonly status: number | null;
      readonly error: string;
      readonly retryAfterMs: number | null;
    }
  /** `signal` aborted; nobody knows whether the receiver has it. */
  | { readonly result: 'interrupted' };

/** Sends it once: no redirect is followed, nothing of the answer is read but its head, 20 s for all of it. Never throws. */
export async function deliver(
  message: ClaimedNotification,
  receiver: ReceiverSpec,
  deps: DeliveryDeps,
  signal: AbortSignal,
): Promise<TryResult> {
  const abort = new AbortController();
  const undoStop = onAbort(signal, () => abort.abort());
  let late = false;
  const cancelTimer = deps.clock.setTimer(TRY_MS, () => {
    late = true;
    abort.abort();
  });
  try {
    return await Promise.race([attempt(message, receiver, deps, abort.signal), whenAborted(abort.signal)]);
  } catch (error) {
    if (signal.aborted) return { result: 'interrupted' };
    return failed(late ? `it did not answer within ${TRY_MS / 1000} s` : reasonOf(error));
  } finally {
    undoStop();
    cancelTimer();
    abort.abort();
  }
}

async function attempt(
  { id, body }: ClaimedNotification,
  receiver: ReceiverSpec,
  { fetch, fetchAnywhere, secrets, clock }: DeliveryDeps,
  signal: AbortSignal,
): Promise<TryResult> {
  const problem = receiverUrlProblem(receiver);
  if (problem !== undefined) return failed(`its address ${problem}`);
  // Read at each try: one that is exchanged counts at once.
  const key = signingKey((await secrets.resolve(receiver.secret)).reveal());
  if (key === undefined) return failed(`its secret ${SECRET_RULE}`);
  const send = receiver.allowPrivateAddresses ? fetchAnywhere : fetch;
  const response = await send(receiver.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'tappet',
      ...signedHeaders(id, body, key, clock.now()),
    },
    body,
    redirect: 'manual',
    signal,
  });
  // What it says is of no use here, and could be without end.
  response.body?.cancel().catch(() => undefined);
  return judge(response, clock.now());
}

function judge({ status, headers }: Response, now: number): TryResult {
  if (status >= 200 && status < 300) return { result: 'delivered', status };
  if (status === 410) return { result: 'gone', status, error: 'it answered 410: it wants no more messages' };
  const followed = status >= 300 && status < 400 ? ', which is not followed' : '';
  return failed(`it answered ${status}${followed}`, status, parseRetryAfter(headers.get('retry-after'), now));
}

function failed(error: string, status: number | null = null, retryAfterMs: number | null = null): TryResult {
  return { result: 'failed', status, error, retryAfterMs };
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => void onAbort(signal, () => reject(new Error('aborted'))));
}

/** "fetch failed" helps nobody; its cause does. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? `: ${errorText(error.cause)}` : '';
  return `${errorText(error)}${cause}`;
}
