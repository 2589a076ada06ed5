import { TappetError } from './core/errors.ts';
import type { EngineInUse, EngineStore } from './core/store.ts';
import { whyGone } from './runners/docker/engine-gone.ts';

export interface ForgetEngineDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly store: Pick<EngineStore, 'enginesInUse' | 'forgetEngine'>;
  /** Has this process leave the engine, where it is in charge of it; its containers are left alone. */
  leave(): Promise<void>;
}

/**
 * The way out for an engine that is gone for good: ends what is open on it, and gives how many attempts. What runs
 * there may run on, so nothing of it is tried again, and an engine of which that is known is not forgotten.
 *
 * | done so far           | in the store                | a crash now                                              |
 * |-----------------------|-----------------------------|----------------------------------------------------------|
 * | does not answer       | attempts open               | nothing has happened                                     |
 * | left                  | attempts open, nobody is in | the next process waits for the engine, or takes it and   |
 * |                       | charge                      | adopts, as after any restart; the command may come again |
 * | forgotten (one        | attempts, tasks, what is    | nothing to do; the command, given again, finds nothing   |
 * | transaction)          | done of the executions; the | open and says so                                         |
 * |                       | epoch is higher             |                                                          |
 *
 * An engine that comes back between the question and the transaction is taken by nobody here, as this process has left
 * it and looks for none meanwhile (`EngineLink`); one that another process has taken meanwhile is `held`, and nothing
 * changes. One that comes back later has containers of attempts that have ended: adoption removes them, unread, and
 * maintenance where adoption could not. Who was in charge and was suspended can write nothing under the old epoch.
 * Errors: NOT_FOUND (nothing is open there), CONFLICT (it answers, may be there, or somebody is in charge of it),
 * STORE_UNAVAILABLE.
 */
export async function forgetEngine(engine: string, by: string, deps: ForgetEngineDeps): Promise<number> {
  const inUse = await deps.store.enginesInUse();
  if (!inUse.some((one) => one.engine === engine)) throw notInUse(engine, inUse);
  const { gone, why } = await whyGone(engine, deps.env);
  if (!gone) {
    throw new TappetError('CONFLICT', `The container engine ${engine} may not be gone for good: ${why}.`, {
      fix: 'What runs there is taken up again by a gateway that uses it (DOCKER_HOST), and can be cancelled: tappet executions cancel NAME. To give it up all the same: stop its containers and shut it down, so that nothing runs there any more, then give the command again.',
    });
  }
  await deps.leave();
  const result = await deps.store.forgetEngine({ engine, by });
  if (result.outcome === 'forgotten') return result.endedAttempts;
  throw new TappetError('CONFLICT', `Somebody is in charge of the container engine ${engine}.`, {
    fix: 'A gateway that has just left it counts for up to 15 s: try again then. If another gateway uses it, give the command to that one, or stop it first.',
  });
}

function notInUse(engine: string, inUse: readonly EngineInUse[]): TappetError {
  const others = inUse.map((one) => one.engine).join(', ');
  const there = others === '' ? 'Nothing is open on any other.' : `Something is open on: ${others}.`;
  return new TappetError('NOT_FOUND', `No attempt is open on a container engine "${engine}". ${there}`);
}
