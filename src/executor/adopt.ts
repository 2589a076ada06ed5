import { errorText, isTappetError } from '../core/errors.ts';
import type { ListedContainer } from '../core/runner.ts';
import type { LifeContext } from './life-context.ts';
import type { LiveAttempts } from './live-attempts.ts';
import { SessionOver } from './session.ts';

/**
 * Takes over what an earlier session left, before anything new is claimed: every open attempt lives on, in
 * parallel, and what has ended and was only not removed yet is removed in the background (`removing`). Containers
 * that run without an open attempt are strange and are left to maintenance, which gives them a grace.
 * Errors: SessionOver.
 */
export async function adopt(
  context: LifeContext,
  live: LiveAttempts,
): Promise<{ adopted: number; removing: Promise<unknown> }> {
  const { store, runner, session } = context;
  const open = await session.write(() => store.openAttempts(runner.engine));
  for (const claim of open) live.add(claim, true);
  const names = new Set(open.map(({ attempt }) => attempt.containerName));
  const listed = await listOrNone(context);
  const left = listed.filter(({ name, running }) => !running && !names.has(name));
  return { adopted: open.length, removing: Promise.all(left.map(({ name }) => removeLeft(context, name))) };
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
async function removeLeft({ gate, runner, log }: LifeContext, name: string): Promise<void> {
  try {
    await gate.through(() => runner.remove(name));
  } catch (error) {
    if (error instanceof SessionOver) return;
    // Maintenance tries again.
    log.warn(`The ended container ${name} could not be removed: ${errorText(error)}`);
  }
}
