import { describe, expect, it } from 'vitest';
import { Bench, ENGINE, DAY, expectCode } from './store/fixture.ts';
import type { MakeStore } from './store/fixture.ts';
import { roomContract } from './store/admission.ts';
import { claimsContract } from './store/claims.ts';
import { enginesContract } from './store/engines.ts';
import { finishContract } from './store/finish.ts';
import { forgottenEngineContract } from './store/forgotten-engine.ts';
import { historiesContract } from './store/histories.ts';
import { imagesContract } from './store/images.ts';
import { inboxContract } from './store/inbox.ts';
import { maintenanceContract } from './store/maintenance.ts';
import { notificationsContract } from './store/notifications.ts';
import { queryContract } from './store/query.ts';
import { rerunsContract } from './store/reruns.ts';
import { retriesContract } from './store/retries.ts';
import { routingContract } from './store/routing.ts';
import { turnsContract } from './store/turns.ts';
import { usageContract } from './store/usage.ts';

/** What every store must do, as callers rely on it; each implementation runs this whole suite. */
export function storeContract(name: string, makeStore: MakeStore): void {
  describe(`store: ${name}`, () => {
    const bench = new Bench(makeStore);
    lifeContract(bench);
    inboxContract(bench);
    routingContract(bench);
    enginesContract(bench);
    forgottenEngineContract(bench);
    claimsContract(bench);
    roomContract(bench);
    turnsContract(bench);
    finishContract(bench);
    retriesContract(bench);
    rerunsContract(bench);
    queryContract(bench);
    imagesContract(bench);
    usageContract(bench);
    maintenanceContract(bench);
    notificationsContract(bench);
    historiesContract(bench);
  });
}

function lifeContract(bench: Bench): void {
  describe('life', () => {
    it('makes its instance once and keeps it', async () => {
      const instance = bench.store.instance();
      expect(instance).toMatch(/^tappet-[0-9a-z]{6}$/);
      expect((await bench.fixture.another()).instance()).toBe(instance);
      expect((await bench.fixture.reopen()).instance()).toBe(instance);
    });

    it('commits what was called before close, then refuses everything', async () => {
      const event = bench.event('1');
      const accepted = bench.store.acceptEvents({ origin: 'trigger/a', events: [event], state: [] });
      await Promise.all([bench.store.close(), bench.store.close()]);
      await bench.store.close();
      expect(await accepted).toMatchObject({ outcome: 'stored' });
      await expectCode(bench.store.getEvent(event.uid), 'STORE_UNAVAILABLE');
      await expectCode(bench.store.decide({ event: event.uid, decisions: [] }), 'STORE_UNAVAILABLE');
      await expectCode(bench.store.open(), 'STORE_UNAVAILABLE');
      expect(await (await bench.fixture.reopen()).getEvent(event.uid)).toBeDefined();
    });

    it('lets two stores on the same data see and fence each other', async () => {
      const other = await bench.fixture.another();
      const event = await bench.accepted('1');
      const again = bench.event('1');
      const result = await other.acceptEvents({ origin: 'trigger/a', events: [again], state: [] });
      expect(result).toEqual({ outcome: 'stored', events: [{ uid: again.uid, duplicateOf: event }] });
      const decided = await Promise.all([
        bench.store.decide({ event, decisions: [] }),
        other.decide({ event, decisions: [] }),
      ]);
      expect(decided.filter((outcome) => outcome !== undefined)).toEqual([{ decided: true, decisions: [] }]);

      const name = await bench.created();
      await bench.running();
      expect(await other.acquireEngine(ENGINE, 'another', DAY)).toMatchObject({ held: false, owner: 'me' });
      // Anyone may cancel; the holder of the engine finds the request.
      await other.cancelExecution(name, 'ann');
      expect(await bench.store.stopRequests(ENGINE)).toMatchObject([
        { execution: name, stopReason: 'cancel' },
      ]);
    });
  });
}
