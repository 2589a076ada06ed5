import { errorText } from '../core/errors.ts';
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
  const { store, runner, gate, session } = context;
  const open = await session.write(() => store.openAttempts(runner.engine));
  for (const claim of open) live.add(claim, true);
  const names = new Set(open.map(({ attempt }) => attempt.containerName));
  const listed = await gate.through(() => runner.list());
  const left = listed.filter(({ name, running }) => !running && !names.has(name));
  return { adopted: open.length, removing: Promise.all(left.map(({ name }) => removeLeft(context, name))) };
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
