import { Webhook } from 'standardwebhooks';
import { beforeEach, describe, expect, it } from 'vitest';
import { ReloadRig } from '../../support/reload-rig.ts';

const SIGNED = `whsec_${Buffer.alloc(32, 3).toString('base64')}`;
const DAY = 24 * 60 * 60_000;
const job = { image: 'busybox:1', taskCount: 1 };
const webhook = (source: object = {}, trigger: object = {}) => ({
  source: { kind: 'webhook', auth: 'none', ...source },
  run: { job: 'work' },
  ...trigger,
});
const CONFIG = {
  jobs: { work: job },
  triggers: {
    call: webhook(),
    other: webhook(),
    long: webhook({ rememberFor: '60d' }),
    waits: webhook({ rememberFor: '60d', answer: { wait: '1s' } }),
    words: webhook({
      rememberFor: '60d',
      answer: {
        wait: '1s',
        status: "${{ execution.state == 'CANCELLED' ? 410 : 502 }}",
        body: { cancelled: "${{ execution.state == 'CANCELLED' }}" },
      },
    }),
    thanks: webhook({ rememberFor: '60d', answer: { status: 200, body: 'thanks for ${{ event.id }}' } }),
    field: webhook({ id: '${{ event.data.order.id }}-${{ event.data.step }}' }),
    header: webhook({ id: "${{ headers['x-request-id'] }}" }),
    signed: webhook({ auth: { hmac: { scheme: 'standard-webhooks', secret: { env: 'SIGNED' } } } }),
  },
};

interface Answer {
  readonly status: number;
  readonly body: {
    readonly event?: string;
    readonly duplicate?: boolean;
    readonly decisions?: readonly object[];
    readonly executions?: readonly string[];
    readonly code?: string;
    readonly detail?: string;
    readonly events?: readonly object[];
    readonly results?: readonly object[];
    readonly cancelled?: boolean;
  };
}

let rig: ReloadRig;
beforeEach(async () => {
  rig = await ReloadRig.start({ 'tappet.json': CONFIG }, { SIGNED });
});

async function call(
  trigger: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<Response> {
  const request = new Request(`http://localhost/hooks/${trigger}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  const response = await rig.sources.handle(`trigger/${trigger}`, request, { remoteAddress: '::1' });
  if (response === undefined) throw new TypeError('there is no such trigger');
  return response;
}
async function send(...args: Parameters<typeof call>): Promise<Answer> {
  const response = await call(...args);
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}
const stored = async (): Promise<number> => (await rig.store.listEvents({}, { size: 100 })).items.length;
const executions = async (): Promise<number> =>
  (await rig.store.listExecutions({}, { size: 100 })).items.length;

describe('a call that comes again', () => {
  it.each(['idempotency-key', 'webhook-id', 'ce-id', 'x-github-delivery'])(
    'with the same %s is answered as the first one was',
    async (name) => {
      const first = await send('call', { [name]: 'k-1' }, '{"a":1}');
      const again = await send('call', { [name]: 'k-1' }, '{ "a": 1 }');
      expect(first).toMatchObject({ status: 202, body: { duplicate: false } });
      expect(again).toEqual({ status: 202, body: { ...first.body, duplicate: true } });
      expect(first.body.executions).toHaveLength(1);
      expect([await stored(), await executions()]).toEqual([1, 1]);
    },
  );

  it('with other data is refused, says so, and stores nothing', async () => {
    const first = await send('call', { 'idempotency-key': 'k-1' }, '{"a":1}');
    const other = await send('call', { 'idempotency-key': 'k-1' }, '{"a":2}');
    expect(other).toMatchObject({ status: 422, body: { code: 'ID_REUSED' } });
    expect(other.body.detail).toBe(
      'The id "k-1" came before with other data, and an id stands for one event. Nothing was stored.',
    );
    expect(await send('call', { 'idempotency-key': 'k-1' }, '{"a":1}')).toMatchObject({
      status: 202,
      body: { event: first.body.event, duplicate: true },
    });
    expect([await stored(), await executions()]).toEqual([1, 1]);
    const event = await rig.store.getEvent(first.body.event ?? '');
    expect(event?.duplicates).toBe(1);
  });

  it('counts for its own trigger only', async () => {
    const first = await send('call', { 'idempotency-key': 'k-1' }, '1');
    const elsewhere = await send('other', { 'idempotency-key': 'k-1' }, '2');
    expect(elsewhere).toMatchObject({ status: 202, body: { duplicate: false } });
    expect(elsewhere.body.event).not.toBe(first.body.event);
  });

  it('without an id is another event each time', async () => {
    for (let i = 0; i < 3; i++) expect((await send('call', {}, '1')).status).toBe(202);
    expect(await stored()).toBe(3);
  });

  it('in a batch with one that was something else: nothing of the batch is stored', async () => {
    const event = (id: string, data: number) => ({ specversion: '1.0', id, source: '/s', type: 't', data });
    const batch = { 'content-type': 'application/cloudevents-batch+json' };
    await send('call', batch, JSON.stringify([event('a', 1)]));
    const mixed = await send('call', batch, JSON.stringify([event('b', 1), event('a', 2)]));
    expect(mixed).toMatchObject({ status: 422, body: { code: 'ID_REUSED' } });
    const twice = await send('call', batch, JSON.stringify([event('c', 1), event('c', 2)]));
    expect(twice.status).toBe(422);
    expect(await stored()).toBe(1);
    const right = await send('call', batch, JSON.stringify([event('b', 1), event('a', 1), event('b', 1)]));
    expect(right).toMatchObject({
      status: 202,
      body: { events: [{ duplicate: false }, { duplicate: true }, { duplicate: true }] },
    });
    expect(await stored()).toBe(2);
  });
});

describe('the id that is signed', () => {
  const CE = 'application/cloudevents+json';
  const BATCH = 'application/cloudevents-batch+json';
  const event = (id: string, data: unknown = { order: 7 }) => ({
    specversion: '1.0',
    id,
    source: '/shop',
    type: 't',
    data,
  });
  const STRUCTURED = JSON.stringify(event('e-1'));
  const LIST = JSON.stringify([event('e-1'), event('e-2')]);
  const signed = (type: string, body: string, id = 'msg_1'): Promise<Answer> =>
    send(
      'signed',
      {
        'content-type': type,
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(rig.clock.now() / 1000)),
        'webhook-signature': new Webhook(SIGNED).sign(id, new Date(rig.clock.now()), body),
      },
      body,
    );

  it.each([
    [CE, STRUCTURED, 'application/json'],
    [CE, STRUCTURED, 'text/plain'],
    [CE, STRUCTURED, 'application/x-www-form-urlencoded'],
    ['application/json', STRUCTURED, CE],
    ['text/plain', STRUCTURED, CE],
    [BATCH, LIST, 'application/json'],
    ['application/json', LIST, BATCH],
  ])('of %s %s names no other event where the same call comes again as %s', async (type, body, other) => {
    const first = await signed(type, body);
    expect(first.status).toBe(202);
    const before = [await stored(), await executions()];
    const again = await signed(other, body);
    expect(again).toMatchObject({ status: 422, body: { code: 'ID_REUSED' } });
    expect(again.body.detail).toContain('"msg_1"');
    expect([await stored(), await executions()]).toEqual(before);
    const same = await signed(type, body);
    expect([same.status, await stored()]).toEqual([202, before[0]]);
  });

  it('stands for a CloudEvent, which keeps its own', async () => {
    const first = await signed(CE, STRUCTURED);
    expect(await signed(CE, STRUCTURED)).toEqual({ status: 202, body: { ...first.body, duplicate: true } });
    const given = (await rig.store.getEvent(first.body.event ?? ''))?.event;
    expect(given).toMatchObject({ id: 'e-1', source: '/shop', data: { order: 7 } });
    // Another call of the sender's own is another event, whatever it calls it.
    expect(await signed(CE, STRUCTURED, 'msg_2')).toMatchObject({ status: 202, body: { duplicate: false } });
  });

  it('stands for each of a batch', async () => {
    const first = await signed(BATCH, LIST);
    expect(first.body.events).toMatchObject([{ duplicate: false }, { duplicate: false }]);
    expect((await signed(BATCH, LIST)).body.events).toMatchObject([{ duplicate: true }, { duplicate: true }]);
    expect(await stored()).toBe(2);
  });
});

describe('the window', () => {
  it('is a day: then the same id is another event, with whatever data', async () => {
    const first = await send('call', { 'idempotency-key': 'k-1' }, '1');
    await rig.clock.advance(DAY - 1);
    expect(await send('call', { 'idempotency-key': 'k-1' }, '1')).toMatchObject({
      body: { duplicate: true },
    });
    await rig.clock.advance(1);
    const later = await send('call', { 'idempotency-key': 'k-1' }, '2');
    expect(later).toMatchObject({ status: 202, body: { duplicate: false } });
    expect(later.body.event).not.toBe(first.body.event);
    expect((await send('call', { 'idempotency-key': 'k-1' }, '1')).status).toBe(422);
  });

  it('of a trigger outlives the event, and the answer with it', async () => {
    const first = await send('long', { 'idempotency-key': 'k-1' }, '{"a":1}');
    const [name = ''] = first.body.executions ?? [];
    await rig.store.cancelExecution(name, 'me');
    await rig.clock.advance(59 * DAY);
    expect(await rig.store.pruneExecutions([name])).toMatchObject({ removed: 1 });
    while ((await rig.store.pruneEvents(30 * DAY, 10)) > 0);
    expect(await rig.store.getEvent(first.body.event ?? '')).toBeUndefined();
    const again = await send('long', { 'idempotency-key': 'k-1' }, '{"a":1}');
    expect(again).toEqual({ status: 202, body: { ...first.body, duplicate: true } });
    expect((await send('long', { 'idempotency-key': 'k-1' }, '{"a":2}')).status).toBe(422);
    await rig.clock.advance(DAY);
    const later = await send('long', { 'idempotency-key': 'k-1' }, '{"a":2}');
    expect(later).toMatchObject({ status: 202, body: { duplicate: false } });
    // Nothing of the first answer is left.
    expect(await send('long', { 'idempotency-key': 'k-1' }, '{"a":2}')).toEqual({
      status: 202,
      body: { ...later.body, duplicate: true },
    });
  });
});

describe('the first answer again, where it tells of the execution', () => {
  const key = { 'idempotency-key': 'k-1' };

  /** Calls once, ends the execution, and gives its name. */
  async function begun(trigger: string): Promise<{ readonly name: string; readonly first: Answer }> {
    let first: Answer | undefined;
    const answered = send(trigger, key, '1').then((answer) => (first = answer));
    // Nothing runs here: the caller waits for as long as he may.
    while (first === undefined) await rig.clock.advance(1_000);
    await answered;
    const [execution] = (await rig.store.listExecutions({}, { size: 100 })).items;
    const name = execution?.name ?? '';
    await rig.store.cancelExecution(name, 'me');
    return { name, first };
  }
  /** Of calls alone: the end of an execution is an event too. */
  async function calls(): Promise<number> {
    const { items } = await rig.store.listEvents({}, { size: 100 });
    return items.filter(({ trigger }) => trigger !== null).length;
  }
  async function forget(name: string): Promise<void> {
    await rig.clock.advance(59 * DAY);
    expect(await rig.store.pruneExecutions([name])).toMatchObject({ removed: 1 });
  }

  it.each(['waits', 'words'])(
    'holds as long as that is kept; then the usual one names it, and starts nothing: %s',
    async (trigger) => {
      const { name, first } = await begun(trigger);
      const told = await send(trigger, key, '1');
      if (trigger === 'words') {
        expect([first, told]).toEqual([
          { status: 502, body: { cancelled: false } },
          { status: 410, body: { cancelled: true } },
        ]);
      } else expect(told).toMatchObject({ status: 200, body: { results: [{ state: 'CANCELLED' }] } });
      await forget(name);
      const later = await send(trigger, key, '1');
      expect(later).toMatchObject({
        status: 202,
        body: { duplicate: true, executions: [name], decisions: [{ execution: name }], results: [] },
      });
      expect([await calls(), await executions()]).toEqual([1, 0]);
    },
  );

  it('stays as it was where it says nothing of the execution', async () => {
    const first = await call('thanks', key, '1');
    const [execution] = (await rig.store.listExecutions({}, { size: 100 })).items;
    await rig.store.cancelExecution(execution?.name ?? '', 'me');
    await forget(execution?.name ?? '');
    const later = await call('thanks', key, '1');
    expect([later.status, await later.text()]).toEqual([first.status, await first.text()]);
    expect([await calls(), await executions()]).toEqual([1, 0]);
  });
});

describe("the trigger's own expression", () => {
  it('names an event by what is in it', async () => {
    const body = (step: number, more: object = {}) => JSON.stringify({ order: { id: 7 }, step, ...more });
    const first = await send('field', { 'idempotency-key': 'ignored' }, body(1));
    const again = await send('field', {}, body(1));
    expect(again.body).toEqual({ ...first.body, duplicate: true });
    expect((await send('field', {}, body(2))).body.duplicate).toBe(false);
    // What else has changed does not matter: the expression says what is the same.
    expect((await send('field', {}, body(1, { x: 1 }))).body).toEqual(again.body);
    const event = await rig.store.getEvent(first.body.event ?? '');
    expect(event?.event.id).toBe('7-1');
  });

  it('names an event by a header of the call', async () => {
    const first = await send('header', { 'X-Request-Id': 'r-1' }, '1');
    expect((await send('header', { 'x-request-id': 'r-1' }, '1')).body).toEqual({
      ...first.body,
      duplicate: true,
    });
  });

  it.each([
    ['field', '{"order":{}}', 'order'],
    ['header', '1', 'x-request-id'],
    ['field', JSON.stringify({ order: { id: 'x'.repeat(300) }, step: 1 }), '256'],
  ])('of %s that gives no id is 422, and nothing is stored', async (trigger, body, word) => {
    const answer = await send(trigger, {}, body);
    expect(answer.status).toBe(422);
    expect(answer.body.detail).toContain(word);
    expect(await stored()).toBe(0);
  });

  it.each([
    ['same', 'is the same for every call'],
    ['${{ task.index }}', '`task` cannot be read here'],
    ['${{ event.data.', 'column'],
  ])('%j is refused when the configuration is read', async (id, word) => {
    rig.write('tappet.json', { ...CONFIG, triggers: { call: webhook({ id }) } });
    await rig.reload.run();
    expect(rig.lines().join('\n')).toContain(word);
  });
});
