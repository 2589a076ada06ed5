import type { IncomingMessage } from 'node:http';
import type { Clock } from '../core/clock.ts';

/** So long after a call has come in whole it hears that it is refused. Far more than any check of a caller takes. */
const REFUSAL_MS = 10;

export interface RefusalTime {
  /** Resolves when a refusal of this call may be told. */
  reached(): Promise<void>;
  /** The call is not refused. */
  cancel(): void;
}

/**
 * When the refusal of a call is told: a fixed time after its last byte came in, so that how long we took to refuse it
 * (a look-up, a digest, a signature) cannot be read from the clock. Nor what there is to check: for each way to let
 * callers in, an unknown trigger would have to take just as long.
 *
 * The timer is set before anything is looked at, and anew when the body is there: some calls are refused with their body
 * unread. One set afterwards, for what is left, would tell the time after all: timers count whole milliseconds from the
 * beginning of a turn of the event loop.
 */
export function refusalTime(incoming: IncomingMessage, clock: Clock): RefusalTime {
  let cancel = (): void => undefined;
  let due = Promise.resolve();
  let over = false;
  const begin = (): void => {
    if (over) return;
    cancel();
    due = new Promise((resolve) => {
      cancel = clock.setTimer(REFUSAL_MS, resolve);
    });
  };
  begin();
  if (!isBodiless(incoming)) incoming.once('end', begin);
  const end = (): void => void (over = true);
  return {
    reached: () => {
      end();
      return due;
    },
    cancel: () => {
      end();
      cancel();
    },
  };
}

function isBodiless({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
}
