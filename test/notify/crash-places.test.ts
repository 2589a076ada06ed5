import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LEASE_MS } from '../../src/notify/sender.ts';
import { completions, FAILURES, NotifyRig } from '../support/notify-rig.ts';

/**
 * The sender's process ends before or after the n-th call of each port, and another takes over on the same store.
 * Whatever the place: every notification arrives, under one id and with one body, at most once more than it was meant
 * to, and what a job's failure and recovery tell comes in their order.
 */
const METHODS = ['claim', 'resolve', 'send', 'settle'] as const;
const PLACES = METHODS.flatMap((method) =>
  [1, 2, 3].flatMap((count) => [`${method}:before:${count}`, `${method}:after:${count}`]),
);

/** Ports of a process that ends at a place: from then on no call of it has an effect, and none returns. */
class Doomed {
  dead = false;
  readonly #place: string;
  readonly #counts = new Map<string, number>();
  constructor(place: string) {
    this.#place = place;
  }

  wrap<A extends unknown[], R>(method: string, call: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
    return async (...args) => {
      const count = (this.#counts.get(method) ?? 0) + 1;
      this.#counts.set(method, count);
      this.#dieAt(`${method}:before:${count}`);
      if (this.dead) return new Promise<R>(() => undefined);
      const result = await call(...args);
      this.#dieAt(`${method}:after:${count}`);
      return this.dead ? new Promise<R>(() => undefined) : result;
    };
  }

  #dieAt(place: string): void {
    if (place === this.#place) this.dead = true;
  }
}

let rig: NotifyRig;
beforeEach(async () => void (rig = await new NotifyRig().open()));
afterEach(() => rig.store.close());

describe('the end of the process', () => {
  it.each(PLACES)('%s', async (place) => {
    const notify = { ...FAILURES, onCompletion: ['ci'] };
    await rig.run(1, notify);
    await rig.run(0, notify);
    await rig.run(0, completions('ci'));
    const meant = (await rig.rows()).map(({ id }) => id);
    expect(meant).toHaveLength(5);

    const doomed = new Doomed(place);
    const { store, fetch, secrets, ...rest } = rig.options();
    await rig.sender({
      ...rest,
      store: {
        claimNotifications: doomed.wrap('claim', (params) => store.claimNotifications(params)),
        settleNotification: doomed.wrap('settle', (params) => store.settleNotification(params)),
      },
      secrets: { resolve: doomed.wrap('resolve', (ref) => secrets.resolve(ref)) },
      fetch: doomed.wrap('send', fetch),
    });
    await rig.until(() => doomed.dead);
    rig.clock.forget();

    const heir = await rig.sender();
    await rig.clock.advance(LEASE_MS + 2000);
    await rig.until(async () => (await rig.rows()).every(({ state }) => state === 'DELIVERED'));
    await heir.stop();

    const ids = rig.sent.map(({ id }) => id);
    expect([...new Set(ids)].sort()).toEqual(meant.toSorted());
    expect(new Set(rig.sent.map(({ id, body }) => `${id} ${body}`)).size).toBe(meant.length);
    for (const id of meant) expect(ids.filter((one) => one === id).length).toBeLessThanOrEqual(2);
    const types = rig.sent
      .filter(({ url }) => url.includes('ops'))
      .map(({ body }) => /v1\.(\w+)/.exec(body)?.[1]);
    expect(types.lastIndexOf('failed')).toBeLessThan(types.indexOf('recovered'));
  });
});
