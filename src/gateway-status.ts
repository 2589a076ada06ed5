import { isTappetError } from './core/errors.ts';
import type { JsonObject } from './core/json.ts';
import type { Store } from './core/store.ts';
import type { SourceHost } from './inbox/source-host.ts';

/** A status that says why the database does not answer has no numbers out of it. `off`: receivers that want no more. */
export async function countsNow(
  store: Pick<Store, 'counts' | 'notificationCounts'>,
  off: string[],
): Promise<JsonObject> {
  try {
    const { oldestPendingTime: oldest, ...numbers } = await store.notificationCounts();
    const oldestPendingTime = oldest === null ? null : new Date(oldest).toISOString();
    return { ...(await store.counts()), notifications: { ...numbers, oldestPendingTime, off } };
  } catch (error) {
    if (isTappetError(error, 'STORE_UNAVAILABLE')) return {};
    throw error;
  }
}

/** Ten thousand healthy sources are a number; those that failed are named. */
export function sourceSummary(sources: Pick<SourceHost, 'health'>) {
  const health = sources.health();
  const failed = health.filter(({ state }) => state === 'failed');
  return {
    running: health.filter(({ state }) => state === 'running').length,
    failed: failed.map((one) => ({ ...one })),
  };
}
