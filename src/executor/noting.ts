/**
 * `inner`, with `note` told of its own error alone: not of one that its reader throws into it, as streams do with
 * what went wrong further down.
 */
export async function* noting<T>(inner: AsyncIterable<T>, note: (error: unknown) => void): AsyncGenerator<T> {
  const source = inner[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const next = await source.next().catch((error: unknown) => {
        ended = true;
        note(error);
        throw error;
      });
      if (next.done === true) {
        ended = true;
        return;
      }
      yield next.value;
    }
  } finally {
    if (!ended) await source.return?.();
  }
}
