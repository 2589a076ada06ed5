/** Calls `prune` until it removes nothing more or `signal` aborts; gives how much it removed in all. Errors: those of `prune`. */
export async function untilNone(
  prune: () => Promise<number>,
  signal: AbortSignal | undefined,
): Promise<number> {
  let removed = 0;
  while (signal?.aborted !== true) {
    const pruned = await prune();
    removed += pruned;
    if (pruned === 0) break;
  }
  return removed;
}
