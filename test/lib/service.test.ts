import { describe, expect, it } from 'vitest';
import { deferred } from '../../src/lib/deferred.ts';
import { Semaphore } from '../../src/lib/semaphore.ts';
import { onAbort, pause, Service } from '../../src/lib/service.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

describe('semaphore', () => {
  it('lets in as many as it has permits, in order, and more when widened', async () => {
    const semaphore = new Semaphore(1);
    const gates = [deferred<void>(), deferred<void>(), deferred<void>()];
    const entered: number[] = [];
    const runs = gates.map((gate, i) =>
      semaphore.run(() => {
        entered.push(i);
        return gate.promise;
      }),
    );
    expect(entered).toEqual([0]);
    gates[0]?.resolve();
    await runs[0];
    await settle();
    expect(entered).toEqual([0, 1]);
    semaphore.widen(2);
    await settle();
    expect(entered).toEqual([0, 1, 2]);
    gates[1]?.reject(new Error('no'));
    await expect(runs[1]).rejects.toThrow('no');
    gates[2]?.resolve();
    await runs[2];
    const both = [semaphore.run(() => Promise.resolve(1)), semaphore.run(() => Promise.resolve(2))];
    expect(await Promise.all(both)).toEqual([1, 2]);
  });

  it.each([0, -1, 1.5])('refuses %d permits', (permits) => {
    expect(() => new Semaphore(permits)).toThrow(TypeError);
  });
});

describe('pause', () => {
  it('ends at its time or at the abort, and leaves no timer', async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    let ended = 0;
    void pause(clock, 100, abort.signal).then(() => (ended += 1));
    void pause(clock, 1000, abort.signal).then(() => (ended += 1));
    await clock.advance(100);
    expect(ended).toBe(1);
    abort.abort();
    await settle();
    expect(ended).toBe(2);
    expect(clock.pending).toBe(0);
    await pause(clock, 1000, abort.signal);
  });
});

describe('onAbort', () => {
  it('calls once, at once where it is over, and not what was taken back', () => {
    const abort = new AbortController();
    const called: string[] = [];
    onAbort(abort.signal, () => called.push('kept'));
    const undo = onAbort(abort.signal, () => called.push('taken back'));
    undo();
    undo();
    abort.abort();
    abort.abort();
    onAbort(abort.signal, () => called.push('late'));
    expect(called).toEqual(['kept', 'late']);
  });
});

class Worker extends Service {
  runs = 0;
  ended = 0;
  readonly failure: Error | undefined;
  constructor(failure?: Error) {
    super();
    this.failure = failure;
  }
  protected async run(signal: AbortSignal): Promise<void> {
    this.runs += 1;
    if (this.failure !== undefined) throw this.failure;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    this.ended += 1;
  }
}

describe('service', () => {
  it('starts once and stops once, however often it is asked', async () => {
    const worker = new Worker();
    await worker.start();
    await worker.start();
    await Promise.all([worker.stop(), worker.stop()]);
    await worker.stop();
    await worker.start();
    expect([worker.runs, worker.ended]).toEqual([1, 1]);
  });

  it('may be stopped before its start, and is stopped by its signal', async () => {
    const never = new Worker();
    await never.stop();
    await never.start();
    expect(never.runs).toBe(0);
    const abort = new AbortController();
    const worker = new Worker();
    await worker.start(abort.signal);
    abort.abort();
    await settle();
    expect(worker.ended).toBe(1);
  });

  it('tells its failure to the one who stops it', async () => {
    const worker = new Worker(new Error('broken'));
    await worker.start();
    await settle();
    await expect(worker.stop()).rejects.toThrow('broken');
  });
});
