import { isTappetError } from '../../src/core/errors.ts';
import { acceptAll } from './accept-all.ts';
import { uploadEvent, type Upload } from './event.ts';
import { matches } from './config.ts';
import type { Ledger, LedgerDeps } from './ledger.ts';
import { readPage, type Entry } from './listing.ts';
import type { Backfill, StorageTrigger, TriggerState } from './watchers.ts';

const CHUNK = 100;

/**
 * `existing: run`: an event, for this trigger alone, of each object that was there when it first started; of an object
 * with versions the one that was the newest then. The trigger's row goes
 *
 *     backfill null → { token, key } after each page → 'done'
 *
 * in the accept of the page's last events. A crash repeats a page; its events have the same ids, so each stays one.
 */
export async function backfill(deps: LedgerDeps, ledger: Ledger, trigger: StorageTrigger): Promise<void> {
  const { context, watchers, objects, signal } = deps;
  const { name, spec } = trigger;
  const versions = (await objects.versioning(spec.bucket, signal)) !== 'off';
  for (;;) {
    const state = watchers.stateOf(name);
    if (state === undefined || state.backfill === 'done') return;
    const token = state.backfill?.token;
    const page = await resumable(deps, name, () => readPage(deps, spec, { versions, token }));
    const { uploads, key } = thereBefore(page.entries, state, versions);
    const wanted = uploads.filter((one) => matches(spec, one.bucket, one.key));
    const next: Backfill = page.next === undefined ? 'done' : { token: page.next, key };
    await accept(deps, trigger, await Promise.all(wanted.map((one) => ledger.describe(one))), next);
    await watchers.read(context);
    if (next === 'done') {
      context.log.info('objects that were there before the trigger first started have each become an event', {
        trigger: name,
      });
    }
  }
}

/** The last accept moves the row; where someone else moved it, the caller reads on from there. */
async function accept(
  { connection, context, watchers }: LedgerDeps,
  { name }: StorageTrigger,
  uploads: readonly Upload[],
  next: Backfill,
): Promise<void> {
  const events = uploads.map((upload) => ({ event: uploadEvent(connection, upload, name) }));
  for (; events.length > CHUNK; events.splice(0, CHUNK)) {
    await acceptAll(context, { events: events.slice(0, CHUNK), trigger: name });
  }
  const state = watchers.change(name, { backfill: next });
  await acceptAll(context, { events, trigger: name, state: state === undefined ? [] : [state] });
}

/** The objects as they were at `since`, and the last key whose versions have been settled. */
function thereBefore(
  entries: readonly Entry[],
  { since, backfill: from }: TriggerState,
  versions: boolean,
): { readonly uploads: readonly Upload[]; readonly key: string } {
  let settled = typeof from === 'object' && from !== null ? from.key : '';
  const uploads: Upload[] = [];
  for (const { key, ms, upload } of entries) {
    // Newest first within a key: the first that is old enough is what stood then, if it is no delete marker.
    if (ms > since || (versions && key === settled)) continue;
    settled = key;
    if (upload !== null) uploads.push(upload);
  }
  return { uploads, key: settled };
}

/** A token that the store does not take (any more) must not stand in the way for ever. */
async function resumable<T>(
  { context, watchers }: LedgerDeps,
  name: string,
  read: () => Promise<T>,
): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const state = watchers.change(name, { backfill: null });
    if (state !== undefined && isTappetError(error, 'INVALID_ARGUMENT')) {
      await context.accept({ events: [], state: [state] });
      await watchers.read(context);
    }
    throw error;
  }
}
