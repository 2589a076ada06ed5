import { expect, test } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import type { LogLineResource } from '../../src/client/api.ts';

const BASE = 'http://gateway.test';
const line = (
  task: number,
  offset: number,
  text: string,
  over: Partial<LogLineResource> = {},
): LogLineResource => ({
  task,
  attempt: 0,
  stream: 'stdout',
  time: `2026-01-01T00:00:0${offset % 10}Z`,
  offset,
  severity: 'DEFAULT',
  text,
  ...over,
});
const event = (value: LogLineResource): string => `data: ${JSON.stringify(value)}\n\n`;
const END = 'event: end\ndata: {}\n\n';

async function textsOf(lines: AsyncIterable<LogLineResource>): Promise<string[]> {
  const out: string[] = [];
  for await (const { text } of lines) out.push(text);
  return out;
}

/** Answers one after another; remembers what was asked for. */
function clientOf(answers: readonly string[]) {
  const asked: string[] = [];
  const rest = [...answers];
  const client = createClient({
    url: BASE,
    pause: async () => undefined,
    fetch: async (url) => {
      asked.push(url.slice(`${BASE}/api/v1`.length));
      return new Response(rest.shift() ?? END);
    },
  });
  return { client, asked };
}

test('lines are read from NDJSON, in whatever pieces it comes', async () => {
  const bytes = Buffer.from(
    [line(0, 0, 'ä'), line(1, 0, 'b')].map((one) => `${JSON.stringify(one)}\n`).join(''),
  );
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  let asked = '';
  const client = createClient({
    url: BASE,
    fetch: async (url) => {
      asked = url;
      return new Response(body);
    },
  });
  expect(await textsOf(client.logs.lines('e', { task: 1, q: 'a b', severity: 'ERROR', tail: 5 }))).toEqual([
    'ä',
    'b',
  ]);
  expect(asked).toBe(`${BASE}/api/v1/executions/e/logs?task=1&q=a+b&severity=ERROR&tail=5`);
});

test('a broken stream is read anew, and what came before is passed over', async () => {
  const gap = line(0, 500, 'gap', { missing: 490 });
  const begin = [event(line(0, 0, 'one')), event(line(1, 0, 'two'))];
  const { client, asked } = clientOf([
    begin.join(''),
    [...begin, event(gap)].join(''),
    [
      ...begin,
      event(gap),
      event(line(0, 500, 'three')),
      event(line(0, 500, 'err', { stream: 'stderr' })),
      END,
    ].join(''),
  ]);
  expect(await textsOf(client.logs.followLines('e'))).toEqual(['one', 'two', 'gap', 'three', 'err']);
  expect(asked).toEqual(Array(3).fill('/executions/e/logs?follow=true'));
});

test('after the last lines were read, what was before them is not asked for again', async () => {
  const { client, asked } = clientOf([event(line(0, 5, 'last')), [event(line(0, 5, 'last')), END].join('')]);
  expect(await textsOf(client.logs.followLines('e', { tail: 1 }))).toEqual(['last']);
  expect(asked).toEqual([
    '/executions/e/logs?tail=1&follow=true',
    '/executions/e/logs?since=2026-01-01T00%3A00%3A05Z&follow=true',
  ]);
});
