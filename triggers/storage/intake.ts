import { TappetError, errorText, isTappetError } from '../../src/core/errors.ts';
import type { NotificationSpec } from '../../src/core/objects.ts';
import type { SourceVerdict } from '../../src/core/event.ts';
import { SHORT_BYTES, changeEvent, unreadableEvent, type Upload } from './event.ts';
import type { Ledger, LedgerDeps } from './ledger.ts';
import { lookUp } from './look-up.ts';
import { parseNotification, type Told } from './notification.ts';

export interface IntakeDeps extends LedgerDeps {
  readonly ledger: Ledger;
  readonly dialect: NotificationSpec['dialect'];
  /** A listing should look now. */
  listSoon(bucket: string): void;
}
/** What came in; `bytes` is the whole length, of which `body` may hold less. */
export interface Raw {
  readonly body: Uint8Array;
  readonly bytes: number;
}

const GONE: SourceVerdict = {
  outcome: 'skipped',
  reason: 'the object was gone when the store was asked about it',
};

const UNSEEN: SourceVerdict = {
  outcome: 'skipped',
  reason: 'the store did not answer when it was asked about the object; the next listing finds it',
};

/**
 * Stores what a notification tells; whoever sent it is known. When it resolves, it need not be sent again: also what
 * cannot be read is stored, as a refusal would have MinIO repeat it for ever and hold back all that comes after.
 * Errors: STORE_UNAVAILABLE.
 */
export async function takeNotification(deps: IntakeDeps, raw: Raw): Promise<void> {
  if (raw.body.length < raw.bytes) return storeUnreadable(deps, raw, `the body is ${raw.bytes} bytes long`);
  const notification = parseNotification(raw.body, deps.dialect);
  if (!notification.ok) return storeUnreadable(deps, raw, notification.reason);
  if (notification.mismatch !== null) {
    deps.context.log.warn(
      'a key of a notification was decoded to something else than the store names beside it',
      {
        connection: deps.connection,
        named: notification.mismatch,
        decoded: notification.told.map(({ change }) => `${change.bucket}/${change.key}`),
      },
    );
  }
  try {
    for (const told of notification.told) await take(deps, told);
  } catch (error) {
    if (!isTappetError(error, 'INVALID_ARGUMENT')) throw error;
    await storeUnreadable(deps, raw, `it makes no event: ${errorText(error)}`);
  }
}

async function take(deps: IntakeDeps, { change, upload }: Told): Promise<void> {
  if (upload !== null) {
    await deps.ledger.settle([upload], 'notification');
    return;
  }
  if (change.kind === 'finalized' && deps.watchers.covers(change)) return lookAndTake(deps, change);
  await deps.context.accept({ events: [{ event: changeEvent(deps.connection, change) }] });
}

/** The notification does not tell what the ledger knows an object by: the store is asked. */
async function lookAndTake(deps: IntakeDeps, change: Told['change']): Promise<void> {
  let upload: Upload | null;
  try {
    upload = await lookUp(deps.objects, change, deps.signal);
    if (upload !== null) upload = await deps.ledger.describe(upload);
  } catch (error) {
    if (deps.signal.aborted) throw new TappetError('STORE_UNAVAILABLE', 'This source stops.', {}, error);
    // Not lost: the listing finds it as soon as the store answers.
    deps.context.log.warn('an object that a notification named could not be looked at', {
      connection: deps.connection,
      bucket: change.bucket,
      error,
    });
    const event = changeEvent(deps.connection, change);
    await deps.context.accept({ events: [{ event, verdict: UNSEEN }] });
    deps.listSoon(change.bucket);
    return;
  }
  if (upload === null) {
    const event = changeEvent(deps.connection, change);
    await deps.context.accept({ events: [{ event, verdict: GONE }] });
    return;
  }
  await deps.ledger.settle([upload], 'notification');
}

async function storeUnreadable(deps: IntakeDeps, raw: Raw, reason: string): Promise<void> {
  const { connection, context } = deps;
  context.log.warn('a notification could not be read and was stored as it came', { connection, reason });
  const whole = { ...raw, reason, now: context.clock.now() };
  try {
    await context.accept({ events: [{ event: unreadableEvent(connection, whole) }] });
  } catch (error) {
    if (!isTappetError(error, 'INVALID_ARGUMENT')) throw error;
    await context.accept({ events: [{ event: unreadableEvent(connection, whole, SHORT_BYTES) }] });
  }
}
