import { errorText } from '../core/errors.ts';
import { pause } from '../lib/service.ts';
import type { LifeContext } from './life-context.ts';
import type { LiveAttempts } from './live-attempts.ts';
import { SessionOver } from './session.ts';

/** A list of a hundred containers takes the engine some 10 ms. */
const SWEEP_MS = 10_000;
const HINTS_PAUSE_MS = 1_000;

/** Passes on the engine's hints until the session is over; a stream that breaks is opened again. */
export async function followHints(context: LifeContext, live: LiveAttempts): Promise<void> {
  const { runner, gate, session, clock, log } = context;
  let connected = false;
  while (!session.signal.aborted) {
    try {
      for await (const hint of runner.hints(session.signal)) {
        if (hint.kind === 'container') live.ring(hint.name);
        else {
          // Before the lives look: what ended with the engine is judged by it.
          if (connected) gate.reconnected();
          connected = true;
          live.ringAll();
        }
      }
    } catch (error) {
      if (!session.signal.aborted)
        log.warn(`The engine's events broke off; looking every 10 s meanwhile: ${errorText(error)}`);
    }
    await pause(clock, HINTS_PAUSE_MS, session.signal);
  }
}

/** Finds what no hint told of. */
export async function sweep(context: LifeContext, live: LiveAttempts): Promise<void> {
  const { runner, gate, session, clock, log } = context;
  while (!session.signal.aborted) {
    await pause(clock, SWEEP_MS, session.signal);
    if (session.signal.aborted) return;
    try {
      const listed = await gate.through(() => runner.list());
      live.ringAllBut(new Set(listed.filter(({ running }) => running).map(({ name }) => name)));
    } catch (error) {
      if (error instanceof SessionOver) return;
      log.warn(`The containers could not be listed: ${errorText(error)}`);
    }
  }
}
