import { afterEach, describe, expect, it } from 'vitest';
import { deferred } from '../../../src/lib/deferred.ts';
import { answer } from '../../support/fake-engine.ts';
import { closeEngines, instance, passing, runnerOn } from '../../support/fake-engine-runner.ts';
import { ManualClock } from '../../support/manual-clock.ts';

afterEach(closeEngines);

const event = (Type: string, Attributes: object) => `${JSON.stringify({ Type, Actor: { Attributes } })}\n`;
const died = (name: string, owner = instance) => event('container', { name, 'dev.tappet.instance': owner });

describe('hints', () => {
  it('come back with a growing pause, and say that they did', async () => {
    const clock = new ManualClock();
    let connects = 0;
    const { runner } = await runnerOn(
      {
        'GET /events': (_, response) => {
          connects++;
          if (connects === 2) return void response.destroy();
          const text = died(`c${connects}`);
          // A line may come in two pieces; one that is not JSON is passed over.
          response.write(`nonsense\n${died('x', 'another')}${text.slice(0, 20)}`, () => {
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

describe('the image behind a name', () => {
  it('is believed while events are heard, until one tells of an image, and for a second where they are not', async () => {
    const clock = new ManualClock();
    const connected = deferred<(text: string) => void>();
    const { runner, engine } = await runnerOn(
      {
        'GET /images/busybox:1/json': answer(200, { Id: 'sha256:aa' }),
        'GET /events': (_, response) => {
          response.writeHead(200).flushHeaders();
          connected.resolve((text) => void response.write(text));
        },
      },
      clock,
    );
    const asked = () => engine.calls.filter((call) => call.includes('/images/')).length;
    const controller = new AbortController();
    const hints = runner.hints(controller.signal)[Symbol.asyncIterator]();
    await hints.next();
    const send = await connected.promise;
    await runner.prepare('busybox:1');
    clock.set(clock.now() + 59_999);
    await runner.prepare('busybox:1');
    expect(asked()).toBe(1);
    // No event tells of every way to move a tag.
    clock.set(clock.now() + 1);
    await runner.prepare('busybox:1');
    expect(asked()).toBe(2);
    send(event('image', { name: 'busybox:1' }) + died('c'));
    await hints.next();
    await runner.prepare('busybox:1');
    expect(asked()).toBe(3);
    controller.abort();
    await hints.next();
    await runner.prepare('busybox:1');
    clock.set(clock.now() + 1000);
    await runner.prepare('busybox:1');
    expect(asked()).toBe(5);
  });

  it('is not kept where an image changed while the engine was asked', async () => {
    const clock = new ManualClock();
    const connected = deferred<(text: string) => void>();
    const inspected = deferred<() => void>();
    let asked = 0;
    const { runner } = await runnerOn(
      {
        'GET /images/busybox:1/json': (_, response) => {
          asked += 1;
          const tell = () => void response.writeHead(200).end('{"Id":"sha256:aa"}');
          if (asked === 1) inspected.resolve(tell);
          else tell();
        },
        'GET /events': (_, response) => {
          response.writeHead(200).flushHeaders();
          connected.resolve((text) => void response.write(text));
        },
      },
      clock,
    );
    const controller = new AbortController();
    const hints = runner.hints(controller.signal)[Symbol.asyncIterator]();
    await hints.next();
    const first = runner.prepare('busybox:1');
    const tell = await inspected.promise;
    (await connected.promise)(event('image', {}) + died('c'));
    await hints.next();
    tell();
    await first;
    await runner.prepare('busybox:1');
    expect(asked).toBe(2);
    controller.abort();
    await hints.next();
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
