import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { listen } from '../../src/http/server.ts';
import type { RunningServer } from '../../src/http/server.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createWebhookSource } from '../../triggers/webhook/source.ts';
import { answersTo, garbled, sized, smuggled } from '../support/hostile-requests.mjs';
import { createTestApp } from '../support/http-fakes.ts';
import { Context } from '../support/webhook-context.ts';

/** Anyone is let in, so that whatever is read as a call is an event. */
const target = { path: '/hooks/call', limit: 4096, taken: 202 } as const;
let server: RunningServer;
let context: Context;

beforeAll(async () => {
  const source = createWebhookSource({ name: 'call', spec: { kind: 'webhook', auth: 'none' } });
  const { app } = createTestApp({
    hooks: {
      handle: async (_name, call, info) => {
        await source.start(context);
        return source.handle?.(call, info);
      },
    },
  });
  server = await listen({ app, host: '127.0.0.1', port: 0, clock: new SystemClock() });
});
beforeEach(() => {
  context = new Context();
});
afterAll(() => server.close());

describe('requests that two parsers end at different places', () => {
  const cases = smuggled(target);

  test('are twelve', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(12);
  });

  test.each(cases)('$name: one answer, 400, and nothing is stored', async ({ bytes, answers }) => {
    expect(await answersTo(server.port, bytes)).toEqual(answers);
    expect(context.events).toEqual([]);
  });
});

test.each([...sized(target), ...garbled(target)])('$name', async ({ bytes, answers }) => {
  expect(await answersTo(server.port, bytes)).toEqual(answers);
  expect(context.events).toHaveLength(answers.filter((status) => status === 202).length);
});

test('what comes next is taken as ever', async () => {
  const call = await fetch(`${server.url}/hooks/call`, { method: 'POST', body: 'x' });
  expect(call.status).toBe(202);
});
