import { errorText, isTappetError } from '../core/errors.ts';
import type { AttemptKey } from '../core/execution.ts';
import type { ListedContainer } from '../core/runner.ts';
import { isTerminal } from '../core/states.ts';
import type { LifeContext } from './life-context.ts';
import type { LiveAttempts } from './live-attempts.ts';
import { SessionOver } from './session.ts';

/**
 * Takes over what an earlier session left, before anything new is claimed: every open attempt lives on, in
 * parallel, and what nobody needs is removed in the background (`removing`): what has ended and was only not removed
 * yet, and what runs though its attempt has ended (on an engine that was given up for good and is back), as it would
 * share the machine with what starts now. Containers that run without any attempt are strange and are left to
 * maintenance, which gives them a grace.
 * Errors: SessionOver.
 */
export async function adopt(
  context: LifeContext,
  live: LiveAttempts,
): Promise<{ adopted: number; removing: Promise<unknown> }> {
  const { store, runner, session } = context;
  const open = await session.write(() => store.openAttempts(runner.engine));
  const names = new Set(open.map(({ attempt }) => attempt.containerName));
  context.times.keep(names);
  for (const claim of open) live.add(claim, true);
  const listed = await listOrNone(context);
  const left = listed.filter(({ name }) => !names.has(name));
  return { adopted: open.length, removing: Promise.all(left.map((one) => removeLeft(context, one))) };
}

/** What is not removed now is removed by maintenance: a list that the engine refuses keeps nobody waiting. */
async function listOrNone({ gate, runner, log }: LifeContext): Promise<ListedContainer[]> {
  try {
    return await gate.through(() => runner.list());
  } catch (error) {
    if (!isTappetError(error, 'ENGINE_REFUSED')) throw error;
    log.warn(`The containers could not be listed: ${errorText(error)}`);
    return [];
  }
}

/** Never rejects. */
async function removeLeft(context: LifeContext, { name, running, key }: ListedContainer): Promise<void> {
  const { gate, runner, log } = context;
  try {
    if (running && !(await hasEnded(context, key))) return;
    await gate.through(() => runner.remove(name));
    if (running) log.warn(`Removed the container ${name}, which still ran: its attempt has ended.`);
  } catch (error) {
    if (error instanceof SessionOver) return;
    // Maintenance tries again.
    log.warn(`The container ${name}, which nobody needs, could not be removed: ${errorText(error)}`);
  }
}

async function hasEnded({ store }: LifeContext, key: AttemptKey): Promise<boolean> {
  const attempts = await store.listAttempts(key.execution, key.index);
  return attempts.some(({ attempt, state }) => attempt === key.attempt && isTerminal(state));
}
