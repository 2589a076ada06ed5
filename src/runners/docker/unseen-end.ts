import type { Clock } from '../../core/clock.ts';
import { isTappetError } from '../../core/errors.ts';
import type { EngineClient } from './engine-client.ts';

/** So many events an engine remembers; none of before its own start. */
const REMEMBERED = 256;
/** The engine tells of an end some ms after it. */
const TOLD_MS = 1000;
/** Where its clock is behind ours by more, it is not waited for. */
const ANSWER_MS = 3000;

/**
 * Whether the engine was away when a container ended, or was restarted since: it remembers every event since its own start,
 * but not this end. Where it was away, Docker has nothing of what the container wrote meanwhile. Where its memory is full
 * nothing is known: false. Errors: ENGINE_UNAVAILABLE.
 * Never on Podman: containers write their logs without it, so nothing is lost, and what it answers of the past may leave
 * out what it remembers (4.3 stops reading at once where `until` has passed).
 */
export async function endedUnseen(
  client: EngineClient,
  clock: Clock,
  name: string,
  endTime: number,
): Promise<boolean> {
  const now = clock.now();
  if (now - endTime < TOLD_MS) return false;
  if ((await client.version()).kind === 'podman') return false;
  const controller = new AbortController();
  const cancel = clock.setTimer(ANSWER_MS, () => controller.abort());
  try {
    const until = Math.max(now, endTime + TOLD_MS);
    const ofEnd = { container: [name], event: ['die'] };
    const ends = await client.pastEvents(until, ofEnd, controller.signal);
    if (ends === null || ends.length > 0) return false;
    const all = await client.pastEvents(until, {}, controller.signal);
    return all !== null && all.length < REMEMBERED;
  } catch (error) {
    if (controller.signal.aborted || !isTappetError(error)) return false;
    throw error;
  } finally {
    cancel();
  }
}
