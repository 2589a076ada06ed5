import { beforeEach, expect, test } from 'vitest';
import { createTestApp } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';
import { settle } from '../support/manual-clock.ts';

const EXECUTION = 'hello-1';
const PATH = `/api/v1/executions/${EXECUTION}/tasks/0/logs`;
const key = (attempt: number) => ({ execution: EXECUTION, index: 0, attempt });

let t: TestApp;
beforeEach(async () => {
  t = createTestApp();
  await t.call('POST', '/api/v1/jobs/hello:run');
  t.store.update(t.store.executions[0]?.name ?? '', { name: EXECUTION, state: 'RUNNING' });
  t.store.setTask(EXECUTION, 0, { state: 'RUNNING', attempts: 1 });
  t.store.setAttempt(key(0), { state: 'RUNNING' });
});

/** Reads a body by pieces; `text` is all that has come. */
function reader(response: Response): {
  read(): Promise<string>;
  rest(): Promise<string>;
  cancel(): Promise<void>;
} {
  const body = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  const read = async (): Promise<string> => decoder.decode((await body.read()).value, { stream: true });
  return {
    read,
    rest: async () => {
      let all = '';
      for (let text = await read(); text !== ''; text = await read()) all += text;
      return all;
    },
    cancel: () => body.cancel(),
  };
}

test('raw bytes come exactly as the task wrote them', async () => {
  const bytes = Uint8Array.from({ length: 512 }, (_, i) => i % 256);
  t.logs.push(key(0), 'stdout', bytes);
  t.logs.push(key(0), 'stderr', 'oops\n');
  const all = await t.call('GET', PATH);
  expect(all.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(all.headers.get('x-content-type-options')).toBe('nosniff');
  expect(new Uint8Array(await all.arrayBuffer())).toEqual(
    Uint8Array.from([...bytes, ...new TextEncoder().encode('oops\n')]),
  );
  const out = await t.call('GET', `${PATH}?stream=stdout`);
  expect(new Uint8Array(await out.arrayBuffer())).toEqual(bytes);
});

test('the newest attempt is the default, others by number, unknown ones are 404', async () => {
  t.store.setAttempt(key(1), { state: 'RUNNING' });
  t.store.setTask(EXECUTION, 0, { attempts: 2 });
  t.logs.push(key(0), 'stdout', 'first');
  t.logs.push(key(1), 'stdout', 'second');
  expect(await (await t.call('GET', PATH)).text()).toBe('second');
  expect(await (await t.call('GET', `${PATH}?attempt=0`)).text()).toBe('first');
  expect((await t.call('GET', `${PATH}?attempt=2`)).status).toBe(404);
  expect((await t.call('GET', `${PATH}?stream=stdin`)).status).toBe(400);
  expect((await t.call('GET', PATH.replace(EXECUTION, 'none'))).status).toBe(404);
});

test('Accept: text/event-stream gives what is there as events and ends', async () => {
  t.logs.push(key(0), 'stdout', 'a\nb');
  const response = await t.call('GET', PATH, { headers: { accept: 'text/event-stream' } });
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  expect(await response.text()).toBe(
    'id: 0:1\ndata: {"stream":"stdout","time":"1970-01-01T00:00:00.000Z","offset":0,"text":"a\\nb"}\n\n' +
      'event: end\ndata: {}\n\n',
  );
});

test('bytes that are not text alone come as base64 too', async () => {
  t.logs.push(key(0), 'stdout', Uint8Array.of(0x61, 0xc3));
  t.logs.push(key(0), 'stdout', Uint8Array.of(0xa4));
  const text = await (await t.call('GET', PATH, { headers: { accept: 'text/event-stream' } })).text();
  expect(text).toContain('"base64":"YcM="');
  expect(text).toContain('"base64":"pA=="');
});

test('following goes on with the next attempt and ends with the task', async () => {
  t.logs.push(key(0), 'stdout', 'one');
  const stream = reader(await t.call('GET', `${PATH}?follow=true`));
  expect(await stream.read()).toBe('retry: 1000\n\n');
  expect(await stream.read()).toContain('id: 0:1\n');
  const second = stream.read();
  t.logs.push(key(0), 'stderr', 'two');
  expect(await second).toContain('"text":"two"');

  const third = stream.read();
  t.store.setAttempt(key(0), { state: 'FAILED' });
  t.store.setTask(EXECUTION, 0, { state: 'PENDING' });
  await t.clock.advance(1000);
  t.store.setTask(EXECUTION, 0, { state: 'RUNNING', attempts: 2 });
  t.store.setAttempt(key(1), { state: 'RUNNING' });
  t.logs.push(key(1), 'stdout', 'again');
  await t.clock.advance(1000);
  expect(await third).toContain('id: 1:1\n');

  const rest = stream.rest();
  t.logs.push(key(1), 'stdout', 'last');
  t.logs.finish(key(1));
  t.store.setAttempt(key(1), { state: 'SUCCEEDED' });
  t.store.setTask(EXECUTION, 0, { state: 'SUCCEEDED' });
  await t.clock.advance(1000);
  const text = await rest;
  expect(text).toContain('"text":"last"');
  expect(text).toMatch(/event: end\ndata: \{"state":"SUCCEEDED"\}\n\n$/);
  expect(t.clock.pending).toBe(0);
});

test('following a task that has ended gives everything and ends at once', async () => {
  t.logs.push(key(0), 'stdout', 'done');
  t.store.setAttempt(key(0), { state: 'SUCCEEDED' });
  t.store.setTask(EXECUTION, 0, { state: 'SUCCEEDED' });
  const text = await (await t.call('GET', `${PATH}?follow=true&attempt=0`)).text();
  expect(text).toContain('"text":"done"');
  expect(text).toContain('event: end');
});

test('an attempt whose log nobody ever opened does not hold a follower', async () => {
  const response = await t.call('GET', `${PATH}?follow=true`);
  const text = response.text();
  t.store.setAttempt(key(0), { state: 'FAILED', reason: 'IMAGE_NOT_FOUND' });
  t.store.setTask(EXECUTION, 0, { state: 'FAILED' });
  await t.clock.advance(1000);
  expect(await text).toContain('{"state":"FAILED"}');
});

test('Last-Event-ID goes on after that event, in the attempt it names', async () => {
  t.logs.push(key(0), 'stdout', 'one');
  t.logs.push(key(0), 'stdout', 'two');
  t.store.setAttempt(key(0), { state: 'FAILED' });
  t.store.setAttempt(key(1), { state: 'SUCCEEDED' });
  t.logs.push(key(1), 'stdout', 'three');
  t.store.setTask(EXECUTION, 0, { state: 'SUCCEEDED', attempts: 2 });
  const response = await t.call('GET', `${PATH}?follow=true`, { headers: { 'last-event-id': '0:1' } });
  const ids = [...(await response.text()).matchAll(/^id: (.*)$/gm)].map(([, id]) => id);
  expect(ids).toEqual(['0:2', '1:1']);
  const bad = await t.call('GET', `${PATH}?follow=true`, { headers: { 'last-event-id': 'x' } });
  expect(bad.status).toBe(400);
});

test('a comment comes after 15 s without output', async () => {
  const stream = reader(await t.call('GET', `${PATH}?follow=true`));
  await stream.read();
  const next = stream.read();
  await settle();
  await t.clock.advance(15_000);
  expect(await next).toBe(': keep-alive\n\n');
  await stream.cancel();
  await settle();
  expect(t.clock.pending).toBe(0);
});

test('closing the app ends followers without an end event, so that they come back', async () => {
  const stream = reader(await t.call('GET', `${PATH}?follow=true`));
  await stream.read();
  const rest = stream.rest();
  await settle();
  t.app.close();
  expect(await rest).toBe('');
  await settle();
  expect(t.clock.pending).toBe(0);
});
