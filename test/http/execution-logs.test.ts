import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LogLineResource } from '../../src/core/api.ts';
import type { LogStream, OpenLog } from '../../src/core/log-sink.ts';
import { readLines } from '../../src/http/log-view.ts';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { createTestApp } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';

const EXECUTION = 'other-1';
const PATH = `/api/v1/executions/${EXECUTION}/logs`;

let dir: string;
let t: TestApp;
/** Of the log's files; the app has one of its own. */
let clock: ManualClock;
let logs: FileLogSink;
const writers = new Map<string, OpenLog>();
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tappet-view-'));
  clock = new ManualClock();
  logs = new FileLogSink({ dir, clock });
  t = createTestApp({ logs });
  await t.call('POST', '/api/v1/jobs/other:run');
  const { name } = t.store.executions[0] ?? { name: '' };
  t.store.update(name, { name: EXECUTION, state: 'RUNNING' });
  for (let index = 0; index < 3; index++) t.store.setTask(EXECUTION, index, {});
});
afterEach(async () => {
  await Promise.all([...writers.values()].map((writer) => writer.close()));
  writers.clear();
  await rm(dir, { recursive: true, force: true });
});

const keyOf = (index: number, attempt = 0) => ({ execution: EXECUTION, index, attempt });

/** The attempt's output, `after` ms after what was written last. */
async function write(
  [index, attempt]: readonly [number, number],
  text: string | Uint8Array,
  stream: LogStream = 'stdout',
): Promise<void> {
  await clock.advance(1000);
  const id = `${index}.${attempt}`;
  let writer = writers.get(id);
  if (writer === undefined) {
    writer = await logs.open(keyOf(index, attempt), { maxBytes: 1024 * 1024 });
    writers.set(id, writer);
    t.store.setAttempt(keyOf(index, attempt), { state: 'RUNNING', createTime: clock.now() });
  }
  await writer.write(stream, typeof text === 'string' ? Buffer.from(text) : text);
}
async function end([index, attempt]: readonly [number, number]): Promise<void> {
  await writers.get(`${index}.${attempt}`)?.close();
  t.store.setAttempt(keyOf(index, attempt), { state: 'SUCCEEDED', endTime: clock.now() });
}
async function lines(query = ''): Promise<LogLineResource[]> {
  const response = await t.call('GET', `${PATH}${query}`);
  expect(response.headers.get('content-type')).toBe('application/x-ndjson; charset=utf-8');
  const text = await response.text();
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as LogLineResource);
}
/** Lets the app's time pass until this is there. */
async function passing<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const done = promise.finally(() => (settled = true));
  while (!settled) {
    await settle();
    await t.clock.advance(500);
  }
  return done;
}
const texts = async (query = ''): Promise<string[]> => (await lines(query)).map(({ text }) => text);

async function threeTasks(): Promise<void> {
  await write([0, 0], 'a1\na2');
  await write([1, 0], '{"severity":"WARNING","message":"low"}\n');
  await write([0, 0], ' and more\n');
  await write([2, 0], 'broken\n', 'stderr');
  await end([1, 0]);
  await write([1, 1], 'b2\nlast');
}

test('the lines of all tasks come by time, each with its place', async () => {
  await threeTasks();
  const all = await lines();
  expect(all.map(({ task, attempt, text }) => `${task}/${attempt} ${text}`)).toEqual([
    '0/0 a1',
    '1/0 {"severity":"WARNING","message":"low"}',
    '0/0 a2 and more',
    '2/0 broken',
    '1/1 b2',
    '1/1 last',
  ]);
  const { time } = all[1] ?? { time: '' };
  expect(all[1]).toEqual({
    task: 1,
    attempt: 0,
    stream: 'stdout',
    time,
    offset: 0,
    severity: 'WARNING',
    message: 'low',
    text: '{"severity":"WARNING","message":"low"}',
  });
  expect(all[3]).toMatchObject({ stream: 'stderr', severity: 'ERROR' });
  expect(all[5]).toMatchObject({ partial: true, offset: 3 });
});

test.each([
  ['?task=0', ['a1', 'a2 and more']],
  ['?task=1&attempt=1', ['b2', 'last']],
  ['?attempt=1', ['b2', 'last']],
  ['?stream=stderr', ['broken']],
  ['?severity=ERROR', ['broken']],
  ['?severity=WARNING', ['{"severity":"WARNING","message":"low"}', 'broken']],
  ['?q=A', ['a1', '{"severity":"WARNING","message":"low"}', 'a2 and more', 'last']],
  ['?q=a&task=0&tail=1', ['a2 and more']],
  ['?tail=3', ['broken', 'b2', 'last']],
  ['?tail=100', ['a1', '{"severity":"WARNING","message":"low"}', 'a2 and more', 'broken', 'b2', 'last']],
])('%s chooses %j', async (query, wanted) => {
  await threeTasks();
  expect(await texts(query)).toEqual(wanted);
});

test('since a time', async () => {
  await threeTasks();
  const third = (await lines())[2];
  expect(await texts(`?since=${third?.time ?? ''}`)).toEqual(['a2 and more', 'broken', 'b2', 'last']);
});

test('the log of a task takes the same words, and stays text', async () => {
  await threeTasks();
  t.store.setTask(EXECUTION, 1, { attempts: 2 });
  const of = async (query: string): Promise<string> =>
    (await t.call('GET', `/api/v1/executions/${EXECUTION}/tasks/1/logs${query}`)).text();
  expect(await of('?tail=1')).toBe('last');
  expect(await of('?tail=2')).toBe('b2\nlast');
  expect(await of('?q=B2')).toBe('b2\n');
  expect(await of('?attempt=0&severity=ERROR')).toBe('');
  const refused = await t.call('GET', `/api/v1/executions/${EXECUTION}/tasks/1/logs?tail=1&follow=true`);
  expect(refused.status).toBe(400);
  expect(await refused.text()).toContain('/logs with task=N');
});

test('binary output survives', async () => {
  const data = Uint8Array.from({ length: 256 }, (_, i) => i);
  await write([0, 0], data);
  const all = await lines();
  const bytes = all.map(({ text, base64, partial }) =>
    Buffer.concat([
      base64 === undefined ? Buffer.from(text) : Buffer.from(base64, 'base64'),
      Buffer.from(partial === true ? '' : '\n'),
    ]),
  );
  expect(new Uint8Array(Buffer.concat(bytes))).toEqual(data);
});

test('a gap is told of in every answer, whatever is chosen', async () => {
  const line = `${'x'.repeat(99)}\n`;
  for (let i = 0; i < 30; i++) await write([0, 0], line.repeat(1000));
  await end([0, 0]);
  t.store.setTask(EXECUTION, 0, { attempts: 1 });
  const [all, found] = [await lines(), await lines('?q=nowhere')];
  const gap = all.find(({ missing }) => missing !== undefined);
  const kept = all
    .filter(({ missing }) => missing === undefined)
    .map(({ text, partial }) => text.length + (partial ? 0 : 1));
  expect((gap?.missing ?? 0) + kept.reduce((sum, n) => sum + n, 0)).toBe(3_000_000);
  expect(gap?.text).toBe(
    `[tappet] ${gap?.missing} bytes are missing here: the log was longer than maxLogBytes of its job.`,
  );
  expect(found).toEqual([gap]);
  const task = `/api/v1/executions/${EXECUTION}/tasks/0/logs`;
  for (const query of ['', '?q=nowhere']) {
    expect(await (await t.call('GET', `${task}${query}`)).text()).toContain(
      `${gap?.missing} bytes are missing`,
    );
  }
  const events = await (await t.call('GET', task, { headers: { accept: 'text/event-stream' } })).text();
  expect(events).toContain(`"text":"","missing":${gap?.missing}`);
});

test('following gives what is there by time, then lines as they are complete, of attempts that begin later too', async () => {
  await threeTasks();
  const body = (await t.call('GET', `${PATH}?follow=true`)).body as ReadableStream<Uint8Array>;
  const reader = body.getReader();
  let text = '';
  const until = async (wanted: string): Promise<void> => {
    while (!text.includes(wanted)) text += Buffer.from((await reader.read()).value ?? []).toString();
  };
  await until('"b2"');
  expect(text).not.toContain('"last');
  await write([1, 1], ' of all\n');
  await until('"last of all"');
  await write([2, 1], 'new\n');
  await passing(until('"new"'));
  for (const place of [
    [0, 0],
    [1, 1],
    [2, 0],
    [2, 1],
  ] as const)
    await end(place);
  t.store.update(EXECUTION, { state: 'SUCCEEDED' });
  await passing(until('event: end'));
  expect((await reader.read()).done).toBe(true);
  expect(text).toContain('data: {"state":"SUCCEEDED"}');
  const events = [...text.matchAll(/^data: (\{"task".*)$/gm)].map(
    ([, json]) => JSON.parse(json ?? '') as LogLineResource,
  );
  expect(events.map((line) => line.text)).toEqual([
    'a1',
    '{"severity":"WARNING","message":"low"}',
    'a2 and more',
    'broken',
    'b2',
    'last of all',
    'new',
  ]);
  await settle();
  expect(t.clock.pending).toBe(0);
});

test('following one task ends with it; with tail it begins with the last lines', async () => {
  await threeTasks();
  const response = await t.call('GET', `${PATH}?follow=true&task=1&tail=2`);
  const text = response.text();
  await settle();
  await write([1, 1], '!\n');
  await end([1, 1]);
  t.store.setTask(EXECUTION, 1, { state: 'SUCCEEDED' });
  const events = [...(await passing(text)).matchAll(/"text":"((?:[^"\\]|\\.)*)"/g)].map(([, json]) => json);
  expect(events).toEqual(['{\\"severity\\":\\"WARNING\\",\\"message\\":\\"low\\"}', 'b2', 'last!']);
});

/** Lines of a hundred bytes, more than are read or answered at a time. */
const MANY = 3_000;
const many = (): string[] => Array.from({ length: MANY }, (_, i) => `${i} `.padEnd(99, 'x'));

test('an answer that has an end comes to it though the server is about to close', async () => {
  for (let i = 0; i < 3; i++) await write([i, 0], `${many().join('\n')}\n`);
  const reader = ((await t.call('GET', PATH)).body as ReadableStream<Uint8Array>).getReader();
  const parts: Uint8Array[] = [];
  for (let next = await reader.read(); next.value !== undefined; next = await reader.read()) {
    parts.push(next.value);
    t.app.close();
  }
  expect(parts.length).toBeGreaterThan(1);
  expect(Buffer.concat(parts).toString().split('\n')).toHaveLength(3 * MANY + 1);
});

test('many last lines are handed on and let go part by part, and what is held meanwhile is told', async () => {
  await write([0, 0], `${many().join('\n')}\n`);
  const last = many().slice(-2_000);
  expect(await texts('?tail=2000')).toEqual(last);
  const held = { bytes: 0 };
  const { signal } = new AbortController();
  const params = { store: t.store, logs, clock, execution: EXECUTION, tail: 2_000, held, signal };
  let left = 2_000 * 99;
  let parts = 0;
  for await (const entries of readLines(params)) {
    parts += 1;
    left -= entries.reduce((sum, { line }) => sum + line.bytes.length, 0);
    expect(held.bytes).toBe(left);
  }
  expect([left, parts > 2]).toEqual([0, true]);
});

test('who goes away leaves no file open and no timer', async () => {
  await threeTasks();
  const openFiles = async (): Promise<number> => (await readdir('/proc/self/fd')).length;
  const before = await openFiles();
  for (const query of ['', '?follow=true']) {
    const reader = ((await t.call('GET', `${PATH}${query}`)).body as ReadableStream).getReader();
    await reader.read();
    await reader.cancel();
  }
  for (let i = 0; i < 100 && (await openFiles()) > before; i++) await settle();
  expect(await openFiles()).toBe(before);
  expect(t.clock.pending).toBe(0);
});

test.each([
  ['?task=3', 404],
  ['?tail=0', 400],
  ['?tail=10001', 400],
  ['?severity=LOUD', 400],
  ['?q=', 400],
  ['?since=yesterday', 400],
  ['?lines=1', 400],
])('%s is %i', async (query, status) => {
  expect((await t.call('GET', `${PATH}${query}`)).status).toBe(status);
});

test('an execution that is not there is 404; one without output is an empty answer', async () => {
  expect((await t.call('GET', PATH.replace(EXECUTION, 'none'))).status).toBe(404);
  expect(await lines()).toEqual([]);
  expect(await lines('?tail=5')).toEqual([]);
});
