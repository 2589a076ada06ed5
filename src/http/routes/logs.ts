import { z } from 'zod';
import type { LogEventResource } from '../../core/api.ts';
import { TappetError } from '../../core/errors.ts';
import type { Task } from '../../core/execution.ts';
import type { LogChunk, LogStream } from '../../core/log-sink.ts';
import type { HttpDeps } from '../deps.ts';
import { followTask } from '../log-follow.ts';
import type { FollowParams } from '../log-follow.ts';
import { flag, parseQuery, wholeNumber } from '../params.ts';
import type { AppContext, Routes } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { byteStream, eventStream, sseText } from '../streams.ts';
import { findTask } from './tasks.ts';

const QUERY = {
  attempt: wholeNumber(0, 1_000_000).optional(),
  stream: z.enum(['stdout', 'stderr']).optional(),
  follow: flag.optional(),
};

/**
 * The output of a task: raw bytes, or server-sent events with `follow=true` or by the Accept header. `closing`
 * aborts when the server stops; a follower then comes back with Last-Event-ID.
 */
export function logRoutes(routes: Routes, closing: AbortSignal): void {
  const { deps } = routes;
  routes.route(
    'GET',
    '/api/v1/executions/:name{[^/:]+}/tasks/:index/logs',
    'logging.logEntries.list',
    async (c) => {
      const query = parseQuery(c, QUERY);
      const task = await findTask(c, deps.store);
      const events = query.follow === true || (c.req.header('accept') ?? '').includes('text/event-stream');
      const resume = events ? lastEventId(c) : undefined;
      const attempt = resume?.attempt ?? query.attempt ?? Math.max(0, task.attempts - 1);
      const existing = await deps.store.listAttempts(task.execution, task.index);
      if (query.attempt !== undefined && query.follow !== true && existing.length <= query.attempt) {
        throw notFound(`attempt of task ${task.index} of "${task.execution}" with number`, query.attempt);
      }
      if (!events) return rawLog(deps, task, attempt, query.stream);
      const stopped = new AbortController();
      const params: FollowParams = {
        store: deps.store,
        logs: deps.logs,
        clock: deps.clock,
        execution: task.execution,
        index: task.index,
        attempt,
        after: resume?.position,
        stream: query.stream,
        signal: AbortSignal.any([closing, stopped.signal]),
      };
      const texts = query.follow === true ? followed(params) : once(params);
      return new Response(
        eventStream(texts, deps.clock, () => stopped.abort()),
        {
          headers: { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' },
        },
      );
    },
  );
}

/** Errors: INVALID_ARGUMENT. */
function lastEventId(c: AppContext): { attempt: number; position: number } | undefined {
  const id = c.req.header('last-event-id');
  if (id === undefined || id === '') return undefined;
  const match = /^(\d{1,9}):(\d{1,15})$/.exec(id);
  if (match !== null) return { attempt: Number(match[1]), position: Number(match[2]) };
  throw new TappetError('INVALID_ARGUMENT', 'Last-Event-ID must look like 0:1234, as in an earlier event.', {
    path: 'Last-Event-ID',
  });
}

function rawLog(deps: HttpDeps, task: Task, attempt: number, stream: LogStream | undefined): Response {
  const key = { execution: task.execution, index: task.index, attempt };
  const stopped = new AbortController();
  const chunks = deps.logs.read(key, { signal: stopped.signal, ...(stream === undefined ? {} : { stream }) });
  const body = byteStream(bytesOf(chunks), () => stopped.abort());
  return new Response(body, { headers: { 'content-type': 'text/plain; charset=utf-8' } });
}

async function* bytesOf(chunks: AsyncIterable<LogChunk>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for await (const { data } of chunks) yield new Uint8Array(data);
}

async function* once({ logs, execution, index, attempt, after, stream, signal }: FollowParams) {
  const options = {
    signal,
    ...(after === undefined ? {} : { after }),
    ...(stream === undefined ? {} : { stream }),
  };
  for await (const chunk of logs.read({ execution, index, attempt }, options))
    yield chunkText(attempt, chunk);
  if (!signal.aborted) yield sseText({ event: 'end', data: {} });
}

/** The `end` event tells a follower that there is nothing to come back for. */
async function* followed(params: FollowParams): AsyncGenerator<string> {
  yield 'retry: 1000\n\n';
  for await (const { attempt, chunk } of followTask(params)) yield chunkText(attempt, chunk);
  if (params.signal.aborted) return;
  const task = await params.store.getTask(params.execution, params.index);
  yield sseText({ event: 'end', data: { state: task?.state ?? null } });
}

function chunkText(attempt: number, chunk: LogChunk): string {
  return sseText({ id: `${attempt}:${chunk.position}`, data: logEvent(chunk) });
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenientUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

function logEvent({ stream, time, offset, data }: LogChunk): LogEventResource {
  const common = { stream, time: new Date(time).toISOString(), offset };
  try {
    return { ...common, text: strictUtf8.decode(data) };
  } catch {
    return { ...common, text: lenientUtf8.decode(data), base64: Buffer.from(data).toString('base64') };
  }
}
