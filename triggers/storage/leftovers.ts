import type { SourceContext } from '../../src/core/source.ts';
import type { StateRow } from '../../src/core/store.ts';
import { cursorRow, objectRows, parseLedgerRow, triggerRow, versionRows } from './keys.ts';
import { parseTriggerState, samePlace, type StorageTrigger, type Watchers } from './watchers.ts';

const PAGE = 500;

/**
 * Deletes the rows of triggers that are no longer there, or look elsewhere now, and of the objects that no trigger
 * asks for any more: no listing would ever find those gone. The trigger's own row goes last, so that a crash repeats
 * the rest. A trigger that comes back starts anew. Errors: the store's.
 */
export async function dropLeftovers(
  context: SourceContext,
  watchers: Watchers,
  triggers: readonly StorageTrigger[],
  signal: AbortSignal,
): Promise<void> {
  const roots = new Set(watchers.roots().map(({ bucket, prefix }) => cursorRow(bucket, prefix)));
  await drop(context, 'l/', ({ key }) => !roots.has(key));
  const left: StateRow[] = [];
  for await (const row of rows(context, 't/')) {
    const trigger = triggers.find(({ name }) => triggerRow(name) === row.key);
    const state = parseTriggerState(row.value);
    if (trigger !== undefined && state !== undefined && samePlace(state, trigger.spec)) continue;
    left.push(row);
  }
  for (const row of left) {
    // A large ledger takes long; the next start goes on with what is left.
    if (signal.aborted) return;
    const state = parseTriggerState(row.value);
    if (state !== undefined) {
      for (const prefix of [objectRows, versionRows]) {
        await drop(
          context,
          prefix(state.bucket, state.prefix),
          ({ key }) => !watchers.covers(parseLedgerRow(key)),
        );
      }
    }
    await context.accept({ events: [], state: [{ key: row.key, expect: row.version, value: null }] });
  }
}

async function drop(
  context: SourceContext,
  prefix: string,
  which: (row: StateRow) => boolean,
): Promise<void> {
  let batch: StateRow[] = [];
  const flush = async (): Promise<void> => {
    // Another gateway may do the same: whatever stands goes.
    await context.accept({ events: [], state: batch.map(({ key }) => ({ key, value: null })) });
    batch = [];
  };
  for await (const row of rows(context, prefix)) {
    if (which(row)) batch.push(row);
    if (batch.length === PAGE) await flush();
  }
  if (batch.length > 0) await flush();
}

async function* rows(context: SourceContext, prefix: string): AsyncIterable<StateRow> {
  for (let after: string | null = null; ;) {
    const page: StateRow[] = await context.scanState(prefix, after, PAGE);
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = last.key;
  }
}
