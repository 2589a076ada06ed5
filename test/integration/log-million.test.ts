import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { createTestApp } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** Of each of two tasks: together a million. */
const LINES = 500_000;
const EXECUTION = 'other-1';
const PATH = `/api/v1/executions/${EXECUTION}`;
/** What may be held at any moment: two readers' blocks, batches and answers; the logs themselves have 60 MB. */
const BOUND = 24 * 1024 * 1024;

const lineOf = (i: number): string =>
  i % 1000 === 0
    ? `{"severity":"WARNING","message":"thousand","n":${i}}`
    : `line ${i} of a task that has much to tell of`;

let dir: string;
let t: TestApp;
let collect: () => void;
beforeAll(async () => {
  setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as () => void;
  dir = await mkdtemp(join(tmpdir(), 'tappet-million-'));
  const clock = new ManualClock();
  const logs = new FileLogSink({ dir, clock });
  t = createTestApp({ logs });
  await t.call('POST', '/api/v1/jobs/other:run');
  t.store.update(t.store.executions[0]?.name ?? '', { name: EXECUTION, state: 'SUCCEEDED' });
  const keys = [0, 1].map((index) => ({ execution: EXECUTION, index, attempt: 0 }));
  const writers = await Promise.all(keys.map((key) => logs.open(key, { maxBytes: 100 * 1024 * 1024 })));
  for (let from = 0; from < LINES; from += 5000) {
    const text = Array.from({ length: 5000 }, (_, i) => `${lineOf(from + i)}\n`).join('');
    for (const writer of writers) await writer.write('stdout', Buffer.from(text));
    await clock.advance(1);
  }
  await Promise.all(writers.map((writer) => writer.close()));
  for (const key of keys) {
    t.store.setAttempt(key, { state: 'SUCCEEDED', createTime: 0, endTime: clock.now() });
    t.store.setTask(EXECUTION, key.index, { state: 'SUCCEEDED', attempts: 1 });
  }
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function held(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Reads an answer to its end; what of it is wanted is counted, and how much memory was held at most. */
async function drain(
  response: Response,
  wanted: RegExp,
): Promise<{ count: number; most: number; last: string }> {
  const before = held();
  let most = 0;
  let count = 0;
  let rest = '';
  let last = '';
  let pieces = 0;
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    const lines = (rest + Buffer.from(chunk).toString()).split('\n');
    rest = lines.pop() ?? '';
    count += lines.filter((line) => wanted.test(line)).length;
    last = lines.at(-1) ?? last;
    if (pieces++ % 100 === 0) most = Math.max(most, held() - before);
  }
  return { count, most, last };
}

test('a million lines go out merged by time in constant memory, each once', async () => {
  const { count, most, last } = await drain(await t.call('GET', `${PATH}/logs`), /^\{"task":[01],/);
  expect(count).toBe(2 * LINES);
  expect(last).toContain(`line ${LINES - 1} of`);
  expect(most).toBeLessThan(BOUND);
});

test('a search through all of them holds no more, and finds each', async () => {
  const response = await t.call('GET', `${PATH}/logs?severity=WARNING&q=THOUSAND`);
  const { count, most } = await drain(response, /"severity":"WARNING".*"message":"thousand"/);
  expect(count).toBe((2 * LINES) / 1000);
  expect(most).toBeLessThan(BOUND);
});

test('the last lines, and the page that shows them, read the end alone', async () => {
  let read = 0;
  const { logs } = t.deps;
  const counting = createTestApp({
    store: t.store,
    logs: {
      end: (key) => logs.end(key),
      open: (key) => logs.open(key),
      remove: (execution) => logs.remove(execution),
      async *read(key, params) {
        for await (const chunk of logs.read(key, params)) {
          read += chunk.data.length;
          yield chunk;
        }
      },
    },
  });
  const { count, last } = await drain(await counting.call('GET', `${PATH}/logs?tail=1000`), /^\{/);
  expect([count, last.includes(`line ${LINES - 1} of`)]).toEqual([1000, true]);
  const code = counting.deps.sessions.newCode().code;
  const request = (path: string, headers = {}): Promise<Response> =>
    counting.app.fetch(new Request(`http://gateway.test${path}`, { headers }), {
      remoteAddress: '127.0.0.1',
    });
  const cookie = ((await request(`/?code=${code}`)).headers.get('set-cookie') ?? '').split(';', 1)[0] ?? '';
  const log = `/executions/${EXECUTION}/tasks/0/attempts/0/log`;
  for (const [path, shown] of [
    [`/executions/${EXECUTION}`, LINES - 1],
    [log, LINES - 1],
    [`${log}?from=start`, 1],
  ] as const) {
    const page = await (await request(path, { cookie })).text();
    expect(page).toContain(`line ${shown} of a task`);
    expect(page.length).toBeLessThan(400_000);
  }
  expect(read).toBeLessThan(8 * 1024 * 1024);
});
