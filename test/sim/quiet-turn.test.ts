import { createHook } from 'node:async_hooks';
import { expect, it } from 'vitest';
import { simulateExecutor } from './executor/world.ts';
import { quiesce } from './virtual-time.ts';
import { simulate } from './world.ts';

/** What Node calls back otherwise than as a promise does. */
const CALLBACKS: ReadonlySet<string> = new Set(['TickObject', 'Immediate', 'Timeout', 'Microtask']);

it('when it is quiet, every promise callback has run, however many follow each other', async () => {
  let done = 0;
  const chain = async (): Promise<void> => {
    for (let i = 0; i < 1000; i++) await Promise.resolve();
    done += 1;
  };
  void chain().then(chain);
  await quiesce();
  expect(done).toBe(2);
});

it.each([
  ['front', simulate],
  ['executor', simulateExecutor],
])(
  'nothing under simulation (%s) asks Node for a callback, but who waits until it is quiet',
  async (_, run) => {
    const others: string[] = [];
    let quiet = 0;
    const hook = createHook({
      init: (_id, type) => {
        if (!CALLBACKS.has(type)) return;
        const from = new Error(type).stack ?? '';
        if (from.includes('quiesce')) quiet += 1;
        else others.push(from);
      },
    });
    hook.enable();
    await run(3);
    await run(4);
    hook.disable();
    expect(others).toEqual([]);
    expect(quiet).toBeGreaterThan(1000);
  },
);
