import { expect, it } from 'vitest';
import type { Attempt, Execution } from '../../src/core/execution.ts';
import { ResultWaits, waitForResults } from '../../src/inbox/results.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

/** Executions whose ends a test brings about; each attempt has what the task handed back. */
class Executions {
  readonly rows = new Map<string, Partial<Execution>>();
  readonly outputs = new Map<string, string>();
  looks = 0;

  async getExecution(name: string): Promise<Execution | undefined> {
    this.looks += 1;
    const row = this.rows.get(name);
    const spec = { taskCount: 1, ...row?.spec };
    return row && ({ name, reason: null, message: null, ...row, spec } as Execution);
  }
  async listAttempts(name: string, index: number): Promise<Attempt[]> {
    const output = this.outputs.get(`${name} ${index}`);
    const failed = { attempt: 0, state: 'FAILED' } as Attempt;
    return [
      failed,
      { attempt: 1, state: 'SUCCEEDED', ...(output === undefined ? {} : { output }) } as Attempt,
    ];
  }
}
const spec = (over: object): Execution['spec'] => over as Execution['spec'];

function waiting(store: Executions, clock: ManualClock, names: readonly string[], withinMs: number) {
  const stop = new AbortController();
  const settled: { value?: unknown } = {};
  const done = waitForResults({ store, clock }, names, { withinMs, signal: stop.signal }).then(
    (value) => (settled.value = value),
  );
  return { settled, stop: () => stop.abort(), done };
}

it('settles soon after the last of them has ended, with what they handed back', async () => {
  const [store, clock] = [new Executions(), new ManualClock()];
  store.rows.set('a', { state: 'RUNNING', spec: spec({ output: 'json' }) });
  store.rows.set('b', { state: 'PENDING', spec: spec({ output: 'text', taskCount: 3 }) });
  const { settled } = waiting(store, clock, ['a', 'b'], 60_000);
  store.rows.set('a', { state: 'SUCCEEDED', message: 'Done.', spec: spec({ output: 'json' }) });
  await clock.advance(10_000);
  expect(settled.value).toBeUndefined();
  store.outputs.set('a 0', '{"n":1}');
  store.outputs.set('b 0', 'zero');
  store.outputs.set('b 2', 'two');
  store.rows.set('b', { state: 'FAILED', reason: 'CANCELLED', spec: spec({ output: 'text', taskCount: 3 }) });
  await clock.advance(250);
  expect(settled.value).toEqual([
    { execution: 'a', state: 'SUCCEEDED', ended: true, reason: null, message: 'Done.', output: { n: 1 } },
    {
      execution: 'b',
      state: 'FAILED',
      ended: true,
      reason: 'CANCELLED',
      message: null,
      outputs: ['zero', null, 'two'],
    },
  ]);
  // 20 ms at first, 250 ms at last: not a busy loop.
  expect(store.looks).toBeLessThan(2 * 60);
});

it('tells after the time that is given how they are then', async () => {
  const [store, clock] = [new Executions(), new ManualClock()];
  store.rows.set('a', { state: 'RUNNING', spec: spec({ output: 'json' }) });
  const { settled, done } = waiting(store, clock, ['a'], 5_000);
  await settle();
  await clock.advance(4_900);
  expect(settled.value).toBeUndefined();
  await clock.advance(200);
  await done;
  expect(settled.value).toEqual([
    { execution: 'a', state: 'RUNNING', ended: false, reason: null, message: null },
  ]);
});

it('counts the time that its looks take', async () => {
  const clock = new ManualClock();
  const store = new (class extends Executions {
    override async getExecution(name: string): Promise<Execution | undefined> {
      await new Promise<void>((resolve) => void clock.setTimer(100, resolve));
      return super.getExecution(name);
    }
  })();
  store.rows.set('a', { state: 'RUNNING' });
  const { settled, done } = waiting(store, clock, ['a'], 60_000);
  await settle();
  await clock.advance(59_900);
  expect(settled.value).toBeUndefined();
  // The last look begins when the time is over.
  await clock.advance(300);
  await done;
  expect(settled.value).toMatchObject([{ execution: 'a', ended: false }]);
});

it('tells at once where nobody is to wait, and where the gateway stops', async () => {
  const [store, clock] = [new Executions(), new ManualClock()];
  store.rows.set('a', { state: 'RUNNING' });
  const now = waiting(store, clock, ['a', 'gone'], 0);
  await clock.advance(0);
  expect(now.settled.value).toMatchObject([{ execution: 'a', ended: false }]);
  const stopped = waiting(store, clock, ['a'], 60_000);
  await clock.advance(1_000);
  stopped.stop();
  await stopped.done;
  expect(stopped.settled.value).toMatchObject([{ execution: 'a', ended: false }]);
});

it('keeps 500 callers waiting, and 16 MiB of what they sent; whoever comes then is told at once', async () => {
  const [store, clock] = [new Executions(), new ManualClock()];
  store.rows.set('a', { state: 'RUNNING' });
  const { signal } = new AbortController();
  const told = async (waits: ResultWaits, bytes: number): Promise<boolean> => {
    let done = false;
    void waits.wait(['a'], { withinMs: 300, bytes, signal }).then(() => (done = true));
    await settle();
    return done;
  };
  const many = new ResultWaits({ store, clock });
  for (let i = 0; i < 499; i++) void many.wait(['a'], { withinMs: 300, bytes: 0, signal });
  expect(await told(many, 0)).toBe(false);
  expect(await told(many, 0)).toBe(true);
  const large = new ResultWaits({ store, clock });
  for (let i = 0; i < 16; i++) expect(await told(large, 1024 * 1024)).toBe(false);
  expect(await told(large, 1)).toBe(true);
  // Those have been told by now: there is room again.
  await clock.advance(400);
  expect([await told(many, 0), await told(large, 1)]).toEqual([false, false]);
  many.stop();
  await settle();
  expect(await told(many, 0)).toBe(true);
});
