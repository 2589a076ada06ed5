import { describe, expect, it } from 'vitest';
import type { Bench } from './fixture.ts';
import { DAY } from './fixture.ts';

export function inboxContract(bench: Bench): void {
  describe('acceptEvents', () => {
    it('keeps an event as it was given', async () => {
      const given = bench.event('1', {
        trigger: 'a',
        claims: { email: 'x@example.org' },
        verdict: { outcome: 'late', reason: 'too old' },
        cloud: {
          subject: 's',
          extensions: { partition: 7, hot: true },
          data: { list: [1, 'zwei', null, { ü: '🚀' }] },
        },
      });
      await bench.store.acceptEvents({ origin: 'trigger/a', events: [given], state: [] });
      expect(await bench.store.getEvent(given.uid)).toEqual({
        uid: given.uid,
        origin: 'trigger/a',
        trigger: 'a',
        event: given.event,
        claims: given.claims,
        verdict: given.verdict,
        receiveTime: bench.clock.now(),
        decideTime: null,
        duplicates: 0,
      });
    });

    it('answers a repeated identity with the first uid, stores nothing and counts it', async () => {
      const first = await bench.accepted('1');
      const again = bench.event('1');
      const result = await bench.store.acceptEvents({ origin: 'trigger/a', events: [again], state: [] });
      expect(result).toEqual({ outcome: 'stored', events: [{ uid: again.uid, duplicateOf: first }] });
      expect(await bench.store.getEvent(again.uid)).toBeUndefined();
      expect((await bench.store.getEvent(first))?.duplicates).toBe(1);
    });

    it('sees duplicates within one call and within one commit', async () => {
      const [a, b, c] = [bench.event('1'), bench.event('1'), bench.event('1')];
      const results = await Promise.all([
        bench.store.acceptEvents({ origin: 'trigger/a', events: [a, b], state: [] }),
        bench.store.acceptEvents({ origin: 'trigger/a', events: [c], state: [] }),
      ]);
      expect(results).toEqual([
        { outcome: 'stored', events: [{ uid: a.uid }, { uid: b.uid, duplicateOf: a.uid }] },
        { outcome: 'stored', events: [{ uid: c.uid, duplicateOf: a.uid }] },
      ]);
      expect((await bench.store.getEvent(a.uid))?.duplicates).toBe(2);
    });

    it('goes by the identity that comes beside an event, and keeps the event as it is', async () => {
      const named = (id: string, source: string, cloud: object) => ({
        ...bench.event('own', { cloud }),
        digest: 'd',
        identity: { id, source },
      });
      const first = named('a', '/hooks/x', { source: '/one' });
      const other = named('b', '/hooks/x', { source: '/one' });
      const again = named('a', '/hooks/x', { source: '/two' });
      const accept = (...events: object[]) =>
        bench.store.acceptEvents({ origin: 'trigger/a', events: events as (typeof first)[], state: [] });
      expect(await accept(first, other, again)).toEqual({
        outcome: 'stored',
        events: [{ uid: first.uid }, { uid: other.uid }, { uid: again.uid, duplicateOf: first.uid }],
      });
      expect((await bench.store.getEvent(first.uid))?.event).toEqual(first.event);
      const plain = bench.event('a', { cloud: { source: '/hooks/x' } });
      expect(await accept(plain)).toMatchObject({ events: [{ duplicateOf: first.uid }] });
      await expect(accept({ ...plain, digest: 'e' })).rejects.toMatchObject({ code: 'ID_REUSED' });
    });

    it('tells identities apart by origin, source and id', async () => {
      await bench.accepted('1', 'trigger/a');
      await bench.accepted('1', 'trigger/b');
      await bench.accepted('2', 'trigger/a');
      const elsewhere = bench.event('1', { cloud: { source: '/other' } });
      await bench.store.acceptEvents({ origin: 'trigger/a', events: [elsewhere], state: [] });
      expect((await bench.store.listEvents({}, { size: 10 })).items).toHaveLength(4);
    });

    it('takes an identity again once it has expired, and not a millisecond earlier', async () => {
      const first = await bench.accepted('1', 'trigger/a', { rememberMs: 1000 });
      await bench.clock.advance(999);
      const early = bench.event('1', { rememberMs: 1000 });
      const refused = await bench.store.acceptEvents({ origin: 'trigger/a', events: [early], state: [] });
      expect(refused).toMatchObject({ events: [{ duplicateOf: first }] });
      await bench.clock.advance(1);
      const late = bench.event('1', { rememberMs: 1000 });
      const taken = await bench.store.acceptEvents({ origin: 'trigger/a', events: [late], state: [] });
      expect(taken).toEqual({ outcome: 'stored', events: [{ uid: late.uid }] });
    });

    it('refuses an identity that is known with another digest, with all of the call, and no other call', async () => {
      const origin = 'trigger/a';
      const first = await bench.accepted('1', origin, { digest: 'x' });
      const [other, reused] = [bench.event('2', { digest: 'x' }), bench.event('1', { digest: 'y' })];
      const [bad, good] = await Promise.allSettled([
        bench.store.acceptEvents({ origin, events: [other, reused], state: [{ key: 'k', value: 1 }] }),
        bench.store.acceptEvents({ origin, events: [bench.event('3', { digest: 'y' })], state: [] }),
      ]);
      expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'ID_REUSED' } });
      expect(good).toMatchObject({ status: 'fulfilled' });
      expect(await bench.store.getEvent(other.uid)).toBeUndefined();
      expect(await bench.store.readState(origin, 'k')).toBeUndefined();
      expect((await bench.store.getEvent(first))?.duplicates).toBe(0);
    });

    it('takes a duplicate whatever its digest where one of the two has none', async () => {
      const origin = 'trigger/a';
      const accept = (event: ReturnType<typeof bench.event>) =>
        bench.store.acceptEvents({ origin, events: [event], state: [] });
      const bare = await bench.accepted('1', origin);
      expect(await accept(bench.event('1', { digest: 'y' }))).toMatchObject({
        events: [{ duplicateOf: bare }],
      });
      const named = await bench.accepted('2', origin, { digest: 'x' });
      expect(await accept(bench.event('2'))).toMatchObject({ events: [{ duplicateOf: named }] });
    });

    it('begins anew with an expired identity: with the new digest, and without the old answer', async () => {
      const origin = 'trigger/a';
      const first = await bench.accepted('1', origin, { rememberMs: 2 * DAY, digest: 'x' });
      await bench.store.decide({ event: first, decisions: [] });
      await bench.clock.advance(DAY + 1);
      await bench.store.pruneEvents(DAY, 10);
      expect(await bench.store.eventOutcome(first)).toEqual({ decided: true, decisions: [] });
      await bench.clock.advance(DAY);
      const second = await bench.accepted('1', origin, { rememberMs: DAY, digest: 'y' });
      expect(await bench.store.getEvent(second)).toBeDefined();
      expect(await bench.store.eventOutcome(first)).toBeUndefined();
      const third = bench.event('1', { digest: 'x' });
      await expect(bench.store.acceptEvents({ origin, events: [third], state: [] })).rejects.toMatchObject({
        code: 'ID_REUSED',
      });
    });

    it('remembers an identity longer than its event', async () => {
      const first = await bench.accepted('1', 'trigger/a', { rememberMs: 10 * DAY });
      await bench.store.decide({ event: first, decisions: [] });
      await bench.clock.advance(2 * DAY);
      await bench.store.pruneEvents(DAY, 100);
      expect(await bench.store.getEvent(first)).toBeUndefined();
      const again = bench.event('1');
      const result = await bench.store.acceptEvents({ origin: 'trigger/a', events: [again], state: [] });
      expect(result).toEqual({ outcome: 'stored', events: [{ uid: again.uid, duplicateOf: first }] });
    });

    it('refuses a uid that is stored already and harms no other call of the same commit', async () => {
      const uid = await bench.accepted('1');
      const [bad, good] = [bench.event('2', { uid }), bench.event('3')];
      const results = await Promise.allSettled([
        bench.store.acceptEvents({ origin: 'trigger/a', events: [bad], state: [{ key: 'k', value: 1 }] }),
        bench.store.acceptEvents({ origin: 'trigger/a', events: [good], state: [] }),
      ]);
      expect(results).toMatchObject([
        { status: 'rejected', reason: { code: 'CONFLICT' } },
        { status: 'fulfilled', value: { outcome: 'stored' } },
      ]);
      expect(await bench.store.getEvent(good.uid)).toBeDefined();
      expect(await bench.store.readState('trigger/a', 'k')).toBeUndefined();
      // The identity of the refused one was not taken either.
      const retried = bench.event('2');
      const result = await bench.store.acceptEvents({ origin: 'trigger/a', events: [retried], state: [] });
      expect(result).toEqual({ outcome: 'stored', events: [{ uid: retried.uid }] });
    });
  });

  stateContract(bench);
}

function stateContract(bench: Bench): void {
  const origin = 'trigger/files';
  const write = (key: string, value: string | null, expected?: number | null) =>
    bench.store.acceptEvents({
      origin,
      events: [],
      state: [{ key, value, ...(expected !== undefined && { expect: expected }) }],
    });

  describe('state rows', () => {
    it('reads what was written, per origin, with a version that changes each time', async () => {
      await write('a', 'one');
      const first = await bench.store.readState(origin, 'a');
      await write('a', 'two');
      const second = await bench.store.readState(origin, 'a');
      expect([first?.value, second?.value]).toEqual(['one', 'two']);
      expect(second?.version).not.toBe(first?.version);
      expect(await bench.store.readState('trigger/other', 'a')).toBeUndefined();
    });

    it('stores nothing of a call whose expectation fails, and names the key', async () => {
      await write('cursor', 'one');
      const version = (await bench.store.readState(origin, 'cursor'))?.version ?? -1;
      await write('cursor', 'two');
      const event = bench.event('1');
      const result = await bench.store.acceptEvents({
        origin,
        events: [event],
        state: [
          { key: 'other', value: 1 },
          { key: 'cursor', expect: version, value: 'three' },
        ],
      });
      expect(result).toEqual({ outcome: 'conflict', key: 'cursor' });
      expect(await bench.store.getEvent(event.uid)).toBeUndefined();
      expect(await bench.store.readState(origin, 'other')).toBeUndefined();
      expect((await bench.store.readState(origin, 'cursor'))?.value).toBe('two');
      // The event's identity is free too.
      const again = bench.event('1');
      expect(await bench.store.acceptEvents({ origin, events: [again], state: [] })).toEqual({
        outcome: 'stored',
        events: [{ uid: again.uid }],
      });
    });

    it('of two calls in one commit that expect the same version, one wins', async () => {
      const results = await Promise.all([write('k', 'a', null), write('k', 'b', null)]);
      expect(results.map(({ outcome }) => outcome)).toEqual(['stored', 'conflict']);
      expect((await bench.store.readState(origin, 'k'))?.value).toBe('a');
    });

    it('deletes by null, and a row made anew never has an earlier version', async () => {
      await write('k', 'a', null);
      const version = (await bench.store.readState(origin, 'k'))?.version ?? -1;
      await write('k', null, version);
      expect(await bench.store.readState(origin, 'k')).toBeUndefined();
      await write('k', 'b', null);
      expect((await write('k', 'c', version)).outcome).toBe('conflict');
    });

    it('scans a prefix in key order, page by page', async () => {
      for (const key of ['a/2', 'a/1', 'a', 'b/1', 'a/3', 'a%', 'a/\u{10ffff}', 'a0']) await write(key, key);
      const page = await bench.store.scanState(origin, 'a/', null, 2);
      expect(page.map(({ key }) => key)).toEqual(['a/1', 'a/2']);
      const rest = await bench.store.scanState(origin, 'a/', 'a/2', 10);
      expect(rest.map(({ key }) => key)).toEqual(['a/3', 'a/\u{10ffff}']);
      expect(await bench.store.scanState(origin, '', null, 100)).toHaveLength(8);
      expect(await bench.store.scanState('trigger/other', '', null, 100)).toEqual([]);
    });
  });
}
