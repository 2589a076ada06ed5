import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { PAUSES_MS } from '../../src/notify/schedule.ts';
import { completions, FAILURES, NotifyRig } from '../support/notify-rig.ts';

let rig: NotifyRig;
beforeEach(async () => void (rig = await new NotifyRig().open()));
afterEach(() => rig.close());

const status =
  (code: number, headers: Record<string, string> = {}) =>
  (): Response =>
    new Response(null, { status: code, headers });
const SECOND = 1000;
const HOUR = 3600 * SECOND;
const both = (row: object): object[] => [row, row];

describe('what is due', () => {
  it('is sent once, with its id, and is over with a 2xx', async () => {
    await rig.run(1, FAILURES);
    await rig.sender();
    const [row] = await rig.rows();
    expect(row).toMatchObject({ state: 'DELIVERED', attempts: 1, lastStatus: 204, lastError: null });
    for (let i = 0; i < 10; i++) await rig.pass(10 * HOUR);
    expect(rig.sent).toHaveLength(1);
    expect(rig.sent[0]).toMatchObject({ url: 'https://ops.example/hook', id: row?.id });
    expect(rig.sent[0]?.headers.get('content-type')).toBe('application/json');
    expect(rig.logged('warn', 'error')).toEqual([]);
  });

  it('is found within a second when it comes later', async () => {
    await rig.sender();
    await rig.run(1, FAILURES);
    await rig.clock.advance(SECOND);
    expect(rig.sent).toHaveLength(1);
  });

  it('is sent as the configuration says by then', async () => {
    rig.answer = status(500);
    await rig.run(1, FAILURES);
    await rig.sender();
    rig.receiver('ops', { url: 'https://other.example/hook', allowPrivateAddresses: true });
    rig.answer = status(200);
    await rig.clock.advance(10 * SECOND);
    expect(rig.sent.map(({ url }) => url)).toEqual([
      'https://ops.example/hook',
      'https://other.example/hook#anywhere',
    ]);
  });

  it('waits while no configuration names its receiver, for another gateway or a later configuration', async () => {
    await rig.run(1, FAILURES);
    await rig.run(1, completions('ops'));
    await rig.sender({ receivers: () => new Map() });
    await rig.pass(119 * HOUR);
    expect(await rig.rows()).toMatchObject(both({ state: 'PENDING', attempts: 0 }));
    expect(rig.logged('warn', 'error')).toEqual([]);
    // Another gateway on the store knows it.
    await rig.sender();
    expect(await rig.rows()).toMatchObject(both({ state: 'DELIVERED', attempts: 1 }));
  });

  it('is given up after five days where its receiver was named by nobody', async () => {
    await rig.run(1, FAILURES);
    await rig.run(0, FAILURES);
    rig.receivers.clear();
    await rig.sender();
    await rig.pass(120 * HOUR);
    expect(await rig.rows()).toMatchObject(both({ state: 'GIVEN_UP', lastStatus: null }));
    expect(rig.sent).toEqual([]);
    expect(rig.logged('error')[0]).toBe(
      'The notification "failed" of job work to ops is given up after 1 try: it is five days old, and there is no notification receiver of this name in the configuration',
    );
  });

  it('tells failed and recovered in their order, though the first has to be tried again', async () => {
    let calls = 0;
    rig.answer = () => status(calls++ === 0 ? 503 : 200)();
    await rig.run(1, FAILURES);
    await rig.run(0, FAILURES);
    await rig.sender();
    await rig.clock.advance(10 * SECOND);
    const types = rig.sent.map(({ body }) => (JSON.parse(body) as { type: string }).type);
    expect(types.map((type) => type.split('.').at(-1))).toEqual(['failed', 'failed', 'recovered']);
  });
});

describe('a try that fails', () => {
  it.each([301, 302, 307, 400, 401, 404, 500, 503])(
    'is repeated after %i, and no redirect is followed',
    async (code) => {
      rig.answer = status(code, { location: 'https://elsewhere.example/' });
      await rig.run(1, FAILURES);
      await rig.sender();
      expect(await rig.rows()).toMatchObject([{ state: 'PENDING', lastStatus: code }]);
      expect(rig.sent).toHaveLength(1);
      await rig.clock.advance(6 * SECOND);
      expect(rig.sent.map(({ url }) => url)).toEqual(Array(2).fill('https://ops.example/hook'));
    },
  );

  it('is repeated with the same id and body by the schedule, then given up, and the log says so once', async () => {
    rig.answer = status(500);
    await rig.run(1, FAILURES);
    await rig.sender();
    // A look before each, and one at it.
    for (const pause of PAUSES_MS) {
      await rig.pass(pause - SECOND);
      await rig.pass(SECOND);
    }
    await rig.pass(100 * HOUR);
    const times = rig.sent.map(({ at }) => at);
    const pauses = times.slice(1).map((at, i) => at - (times[i] ?? 0));
    // Of Standard Webhooks.
    const example = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
    expect(pauses).toEqual(example.map((seconds) => seconds * SECOND));
    expect(new Set(rig.sent.map(({ id, body }) => `${id} ${body}`)).size).toBe(1);
    expect(new Set(rig.sent.map(({ headers }) => headers.get('webhook-timestamp'))).size).toBe(10);
    expect(await rig.rows()).toMatchObject([{ state: 'GIVEN_UP', attempts: 10, lastStatus: 500 }]);
    expect(rig.logged('warn')).toEqual(['Notifications to ops fail, and are tried again: it answered 500']);
    expect(rig.logged('error')).toEqual([
      'The notification "failed" of job work to ops is given up after 10 tries: it answered 500',
    ]);
  });

  it.each([
    ['429', status(429, { 'retry-after': '3600' })],
    [
      '503 with a date',
      () => status(503, { 'retry-after': new Date(rig.clock.now() + HOUR).toUTCString() })(),
    ],
  ])('waits as long as it is asked to (%s)', async (_, answer) => {
    rig.answer = answer;
    await rig.run(1, FAILURES);
    await rig.sender();
    await rig.pass(HOUR - SECOND);
    expect(rig.sent).toHaveLength(1);
    await rig.pass(SECOND);
    expect(rig.sent).toHaveLength(2);
  });

  it('ends after twenty seconds without an answer', async () => {
    rig.answer = () => new Promise(() => undefined);
    await rig.run(1, FAILURES);
    await rig.sender();
    await rig.clock.advance(19_999);
    expect(await rig.rows()).toMatchObject([{ state: 'PENDING', lastError: null }]);
    await rig.clock.advance(1);
    expect(await rig.rows()).toMatchObject([
      { state: 'PENDING', lastError: 'it did not answer within 20 s' },
    ]);
  });

  it('does not wait for the end of an answer', async () => {
    let cancelled = false;
    const endless = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
      cancel: () => void (cancelled = true),
    });
    rig.answer = () => new Response(endless, { status: 200 });
    await rig.run(1, FAILURES);
    await rig.sender();
    expect(await rig.rows()).toMatchObject([{ state: 'DELIVERED' }]);
    expect(cancelled).toBe(true);
  });

  it('says what is wrong with the network, an address or a secret', async () => {
    const refused = new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });
    rig.answer = () => Promise.reject(refused);
    await rig.run(1, FAILURES);
    await rig.sender();
    expect(await rig.rows()).toMatchObject([{ lastError: 'fetch failed: connect ECONNREFUSED' }]);
    rig.receiver('ops', { url: 'https://169.254.169.254/' });
    await rig.pass(301 * SECOND);
    expect((await rig.rows())[0]?.lastError).toContain('which is not on the public Internet');
    rig.receiver('ops');
    rig.secrets.set('S', 'too short');
    await rig.pass(2 * HOUR);
    const [row] = await rig.rows();
    expect(row?.lastError).toContain('its secret must be "whsec_"');
    expect(JSON.stringify([row, rig.log.lines])).not.toContain('too short');
    expect(rig.sent).toHaveLength(1);
  });
});

describe('a receiver', () => {
  it('that answered 410 gets nothing more, until it has another address or the gateway starts anew', async () => {
    rig.answer = status(410);
    await rig.run(1, completions('ops'));
    const sender = await rig.sender();
    await rig.run(1, completions('ops'));
    await rig.clock.advance(2 * SECOND);
    expect(rig.sent).toHaveLength(1);
    expect(await rig.rows()).toMatchObject([
      { state: 'GIVEN_UP', lastStatus: 410 },
      { state: 'GIVEN_UP', lastStatus: null },
    ]);
    expect(sender.off()).toEqual(['ops']);
    rig.answer = status(204);
    rig.receiver('ops', { url: 'https://new.example/' });
    expect(sender.off()).toEqual([]);
    await rig.run(1, completions('ops'));
    await rig.clock.advance(2 * SECOND);
    expect((await rig.rows())[2]).toMatchObject({ state: 'DELIVERED' });
  });

  it('that hangs keeps no other waiting, and gets four at a time', async () => {
    rig.answer = ({ url }) =>
      url.includes('ops') ? new Promise<Response>(() => undefined) : new Response(null, { status: 200 });
    for (let i = 0; i < 10; i++) await rig.run(0, completions('ops'));
    for (let i = 0; i < 10; i++) await rig.run(0, completions('ci'));
    await rig.sender();
    await rig.clock.advance(3 * SECOND);
    const states = (await rig.rows()).map(({ receiver, state }) => `${receiver} ${state}`);
    expect(states.filter((one) => one === 'ci DELIVERED')).toHaveLength(10);
    expect(rig.sent.filter(({ url }) => url.includes('ops'))).toHaveLength(4);
  });
});

describe('receivers that hang', () => {
  const HANGING = Array.from({ length: 20 }, (_, i) => `h${i}`);
  const delivered = async (): Promise<number> =>
    (await rig.rows()).filter(({ state }) => state === 'DELIVERED').length;

  it.each([4, 20])('%i of them keep nobody waiting who answers', async (count) => {
    const hanging = HANGING.slice(0, count);
    for (const name of hanging) rig.receiver(name);
    rig.answer = ({ url }) =>
      /\/h\d/.test(url) ? new Promise<Response>(() => undefined) : new Response(null, { status: 200 });
    for (let i = 0; i < 5; i++) await rig.run(0, completions(...hanging));
    await rig.sender();
    for (let i = 0; i < 10; i++) await rig.run(0, completions('ci'));
    const since = rig.clock.now();
    await rig.until(async () => (await delivered()) === 10);
    // A second until they are looked for, none of the twenty until the others have hung.
    expect(rig.clock.now() - since).toBeLessThan(5 * SECOND);
  });

  it('get one try at a time when that is known, and what is shared is for the others', async () => {
    const hanging = HANGING.slice(0, 4);
    for (const name of hanging) rig.receiver(name);
    let open = 0;
    rig.answer = ({ url }) => {
      if (/\/h\d/.test(url)) return new Promise<Response>(() => undefined);
      open += 1;
      return new Promise<Response>(() => undefined);
    };
    for (let i = 0; i < 9; i++) await rig.run(0, completions(...hanging));
    await rig.sender();
    await rig.clock.advance(3 * SECOND);
    expect(rig.sent).toHaveLength(16);
    await rig.clock.advance(20 * SECOND);
    // The four tries of each have ended; of what is left each has one.
    expect(rig.sent).toHaveLength(20);
    for (let i = 0; i < 9; i++) await rig.run(0, completions('ci'));
    await rig.clock.advance(3 * SECOND);
    expect(open).toBe(4);
  });
});

describe('the sender', () => {
  it('gives back what it stops in the middle of: the next one sends it at once, under the same id', async () => {
    rig.answer = () => new Promise(() => undefined);
    await rig.run(1, FAILURES);
    const sender = await rig.sender();
    expect(rig.sent).toHaveLength(1);
    await sender.stop();
    expect(await rig.rows()).toMatchObject([
      { state: 'PENDING', lastError: 'the gateway stopped during the try' },
    ]);
    rig.answer = status(204);
    await rig.sender();
    expect(await rig.rows()).toMatchObject([{ state: 'DELIVERED', attempts: 2 }]);
    expect(new Set(rig.sent.map(({ id }) => id)).size).toBe(1);
  });

  it('goes on when the store refuses for a while, and says so once', async () => {
    const { store } = rig;
    let refusing = true;
    await rig.run(1, FAILURES);
    const gone = new TappetError('STORE_UNAVAILABLE', 'The disk is full.');
    const claimNotifications: typeof store.claimNotifications = (params) =>
      refusing ? Promise.reject(gone) : store.claimNotifications(params);
    const settleNotification: typeof store.settleNotification = (params) => store.settleNotification(params);
    await rig.sender({ store: { claimNotifications, settleNotification } });
    await rig.clock.advance(10 * SECOND);
    expect(rig.logged('error')).toEqual([
      'Could not look for notifications; trying again every second: The disk is full.',
    ]);
    refusing = false;
    await rig.clock.advance(SECOND);
    expect(await rig.rows()).toMatchObject([{ state: 'DELIVERED' }]);
  });

  it('shares the store with another: each notification is sent by one of them', async () => {
    for (let i = 0; i < 20; i++) await rig.run(0, completions('ops', 'ci'));
    await Promise.all([rig.sender(), rig.sender()]);
    await rig.until(async () => (await rig.rows()).every(({ state }) => state === 'DELIVERED'));
    expect(rig.sent).toHaveLength(40);
    expect(new Set(rig.sent.map(({ id }) => id)).size).toBe(40);
  });
});

it('tries for three days', () => {
  const total = PAUSES_MS.reduce((sum, ms) => sum + ms, 0);
  expect(Math.round(total / HOUR)).toBe(76);
});
