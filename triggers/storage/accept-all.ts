import { errorText, isTappetError } from '../../src/core/errors.ts';
import type { SourceAccept, SourceContext } from '../../src/core/source.ts';
import type { AcceptResult } from '../../src/core/store.ts';

/**
 * `context.accept` for what a listing found: an object that makes no event (its key or its metadata are longer than
 * one may be) is named in the log and left out, since with it every listing to come would fail, and find nothing more.
 * The state goes with the last events. Errors: the store's.
 */
export async function acceptAll(context: SourceContext, params: SourceAccept): Promise<AcceptResult> {
  const { events, state = [], ...rest } = params;
  try {
    return await context.accept(params);
  } catch (error) {
    if (!isTappetError(error, 'INVALID_ARGUMENT')) throw error;
    const [only] = events;
    if (only === undefined) throw error;
    if (events.length === 1) {
      const { source, subject } = only.event;
      context.log.warn('an object cannot become an event and starts nothing', {
        object: `${source}/${subject}`,
        why: errorText(error),
      });
      return context.accept({ ...rest, events: [], state });
    }
    const half = Math.ceil(events.length / 2);
    await acceptAll(context, { ...rest, events: events.slice(0, half) });
    return acceptAll(context, { ...rest, events: events.slice(half), state });
  }
}
