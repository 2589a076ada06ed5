import { afterEach, describe, expect, it } from 'vitest';
import { closeEngines, passing, runnerOn } from '../../support/fake-engine-runner.ts';
import { ManualClock } from '../../support/manual-clock.ts';

afterEach(closeEngines);

describe('hints', () => {
  it('come back with a growing pause, and say that they did', async () => {
    const clock = new ManualClock();
    const died = (name: string) =>
      `${JSON.stringify({ Type: 'container', Actor: { Attributes: { name } } })}\n`;
    let connects = 0;
    const { runner } = await runnerOn(
      {
        'GET /events': (_, response) => {
          connects++;
          if (connects === 2) return void response.destroy();
          const text = died(`c${connects}`);
          // A line may come in two pieces; one that is not JSON is passed over.
          response.write(`nonsense\n${text.slice(0, 20)}`, () => {
            if (connects === 1) response.end(text.slice(20));
            else response.write(text.slice(20));
          });
        },
      },
      clock,
    );
    const controller = new AbortController();
    const seen: string[] = [];
    for await (const hint of withClock(clock, runner.hints(controller.signal))) {
      seen.push(hint.kind === 'container' ? hint.name : hint.kind);
      if (seen.at(-1) === 'c3') controller.abort();
    }
    expect(seen).toEqual(['reconnected', 'c1', 'reconnected', 'c3']);
    expect(connects).toBe(3);
  });
});

/** Lets the clock run while the next value is awaited. */
async function* withClock<T>(clock: ManualClock, values: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = values[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await passing(clock, iterator.next());
    if (done === true) return;
    yield value;
  }
}
