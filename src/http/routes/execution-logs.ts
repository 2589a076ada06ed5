import { z } from 'zod';
import { SEVERITIES } from '../../core/severity.ts';
import type { HttpDeps } from '../deps.ts';
import { lineResource } from '../log-entries.ts';
import type { LogEntry } from '../log-entries.ts';
import { MAX_TAIL_LINES } from '../log-last.ts';
import { followLines, readLines } from '../log-view.ts';
import type { LogViewParams } from '../log-view.ts';
import { flag, instant, parseQuery, wholeNumber } from '../params.ts';
import type { Routes } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { byteStream, eventStream, sseText } from '../streams.ts';
import type { UnreadAnswers } from '../unread-answers.ts';

/** Which lines of a log; shared with the log of a task. */
export const LINE_QUERY = {
  q: z.string().min(1, 'must not be empty').max(1000).optional(),
  severity: z.enum(SEVERITIES).optional(),
  tail: wholeNumber(1, MAX_TAIL_LINES).optional(),
};
const QUERY = {
  ...LINE_QUERY,
  task: wholeNumber(0, 1_000_000).optional(),
  attempt: wholeNumber(0, 1_000_000).optional(),
  stream: z.enum(['stdout', 'stderr']).optional(),
  since: instant.optional(),
  follow: flag.optional(),
};

/** What all tasks of an execution wrote, line by line and by time: NDJSON, or server-sent events with `follow=true`. */
export function executionLogRoutes(routes: Routes, closing: AbortSignal, unread: UnreadAnswers): void {
  const { deps } = routes;
  routes.route(
    'GET',
    '/api/v1/executions/:name{[^/:]+}/logs',
    'logging.logEntries.list',
    async (c, { name: caller }) => {
      const { follow, ...query } = parseQuery(c, QUERY);
      const execution = c.req.param('name') ?? '';
      await checkPlace(deps, execution, query.task);
      const stopped = new AbortController();
      const { store, logs, clock } = deps;
      const held = { bytes: 0 };
      const params = { ...query, store, logs, clock, execution, held, signal: stopped.signal };
      const reading = { stop: () => stopped.abort(), unread, caller, held, cut: c.env.transfer?.cut };
      if (follow === true) {
        const headers = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' };
        const signal = AbortSignal.any([closing, stopped.signal]);
        return new Response(eventStream(followed({ ...params, signal }), clock, reading), { headers });
      }
      // Not `closing`: this has an end, and one that comes before it would look like it. Where the server cannot wait for
      // the reader it breaks the connection, which he can tell.
      const headers = { 'content-type': 'application/x-ndjson; charset=utf-8' };
      return new Response(byteStream(jsonLines(readLines(params)), reading), { headers });
    },
  );
}

/** Errors: NOT_FOUND. */
async function checkPlace({ store }: HttpDeps, execution: string, task: number | undefined): Promise<void> {
  if ((await store.getExecution(execution)) === undefined) throw notFound('execution', execution);
  if (task === undefined || (await store.getTask(execution, task)) !== undefined) return;
  throw notFound(`task of execution "${execution}" with index`, task);
}

async function* jsonLines(
  batches: AsyncIterable<readonly LogEntry[]>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  for await (const entries of batches) {
    if (entries.length === 0) continue;
    yield encoder.encode(entries.map((entry) => `${JSON.stringify(lineResource(entry))}\n`).join(''));
  }
}

/** The `end` event tells a follower that there is nothing to come back for. */
async function* followed(params: LogViewParams): AsyncGenerator<string> {
  yield 'retry: 1000\n\n';
  for await (const entries of followLines(params)) {
    if (entries.length > 0) yield entries.map((entry) => sseText({ data: lineResource(entry) })).join('');
  }
  if (params.signal.aborted) return;
  const { store, execution, task } = params;
  const row = task === undefined ? await store.getExecution(execution) : await store.getTask(execution, task);
  yield sseText({ event: 'end', data: { state: row?.state ?? null } });
}
