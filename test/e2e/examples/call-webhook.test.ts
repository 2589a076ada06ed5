import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '../../../src/core/json.ts';
import { partOf, RunningExample } from '../../support/example.ts';
import { startOidcIssuer } from '../../support/oidc-issuer.ts';
import type { OidcIssuer } from '../../support/oidc-issuer.ts';

let issuer: OidcIssuer;
let example: RunningExample;
beforeAll(async () => {
  issuer = await startOidcIssuer();
  example = await RunningExample.make('call-webhook', {
    change: (config) => (partOf(config, 'issuers', 'shop')['issuer'] = issuer.issuer),
  });
  await example.gateway.start();
});
afterAll(async () => {
  await example.close();
  await issuer.close();
});

async function call(body: JsonObject, claims?: JsonObject, audience = 'tappet') {
  const token = claims === undefined ? '' : await issuer.token({ audience, claims });
  const headers = claims === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`${example.gateway.url}/hooks/call-webhook`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, answer: response.status === 202 ? (JSON.parse(text) as JsonObject) : {} };
}

const SHOP = { email: 'shop@example.com', email_verified: true };
const ended = (name: string) =>
  example.gateway.until(`/api/v1/executions/${name}`, (one) =>
    one['completionTime'] === null ? undefined : one,
  );

it('a call with a token of the shop makes its invoice, with the values of this call', async () => {
  const calls = [
    { number: 'A-1', customer: 'Ada Lovelace', amount: 42 },
    { number: 'A-2', customer: '$(reboot) "Bob" `x`', amount: 7.5 },
  ];
  for (const body of calls) {
    const { status, answer } = await call(body, SHOP);
    expect(status).toBe(202);
    const [name = ''] = answer['executions'] as string[];
    expect(await ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await example.get(`invoices/${body.number}.txt`)).toString()).toBe(
      `Invoice ${body.number}\nto ${body.customer}\n${body.amount} EUR, ordered by shop@example.com\n`,
    );
  }
});

it('a call about nothing to pay runs nothing, and says why', async () => {
  const { status, answer } = await call({ number: 'B-1', customer: 'Bob', amount: 0 }, SHOP);
  expect(status).toBe(202);
  expect(answer).toMatchObject({
    executions: [],
    decisions: [{ trigger: 'call-webhook', outcome: 'filtered' }],
  });
});

it('no token, someone else’s and one for another audience are 401 and run nothing', async () => {
  const body = { number: 'C-1', customer: 'Eve', amount: 1 };
  // Which there are, and not what became of them: an execution's own event is decided up to a second after its end.
  const uids = async (): Promise<unknown[]> =>
    ((await example.gateway.api('GET', '/api/v1/events')).json()['events'] as { uid: string }[]).map(
      ({ uid }) => uid,
    );
  const before = await uids();
  expect((await call(body)).status).toBe(401);
  expect((await call(body, { email: 'eve@example.com' })).status).toBe(401);
  expect((await call(body, SHOP, 'another')).status).toBe(401);
  expect(await uids()).toEqual(before);
  expect(await example.list('invoices/C-')).toEqual([]);
});
