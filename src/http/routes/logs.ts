import { z } from 'zod';
import type { LogEventResource } from '../../core/api.ts';
import { TappetError } from '../../core/errors.ts';
import type { Task } from '../../core/execution.ts';
import { gapText } from '../../core/log-gap.ts';
import type { LogChunk, LogStream } from '../../core/log-sink.ts';
import type { HttpDeps } from '../deps.ts';
import type { LogEntry } from '../log-entries.ts';
import { followTask } from '../log-follow.ts';
import type { FollowParams } from '../log-follow.ts';
import { readLines } from '../log-view.ts';
import type { LogViewParams } from '../log-view.ts';
import { flag, parseQuery, wholeNumber } from '../params.ts';
import type { AppContext, Routes } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { byteStream, eventStream, sseText } from '../streams.ts';
import type { UnreadAnswers } from '../unread-answers.ts';
import { LINE_QUERY } from './execution-logs.ts';
import { findTask } from './tasks.ts';

const QUERY = {
  attempt: wholeNumber(0, 1_000_000).optional(),
  stream: z.enum(['stdout', 'stderr']).optional(),
  follow: flag.optional(),
  ...LINE_QUERY,
};

/**
 * The output of a task: raw bytes, or server-sent events with `follow=true` or by the Accept header. `closing`
 * aborts when the server stops; a follower then comes back with Last-Event-ID.
 */
export function logRoutes(routes: Routes, closing: AbortSignal, unread: UnreadAnswers): void {
  const { deps } = routes;
  routes.route(
    'GET',
    '/api/v1/executions/:name{[^/:]+}/tasks/:index/logs',
    'logging.logEntries.list',
    async (c, { name: caller }) => {
      const query = parseQuery(c, QUERY);
      const task = await findTask(c, deps.store);
      const events = query.follow === true || (c.req.header('accept') ?? '').includes('text/event-stream');
      checkLineQuery(query, events);
      const resume = events ? lastEventId(c) : undefined;
      const attempt = resume?.attempt ?? query.attempt ?? Math.max(0, task.attempts - 1);
      const existing = await deps.store.listAttempts(task.execution, task.index);
      if (query.attempt !== undefined && query.follow !== true && existing.length <= query.attempt) {
        throw notFound(`attempt of task ${task.index} of "${task.execution}" with number`, query.attempt);
      }
      const { cut } = c.env.transfer ?? {};
      if (!events) return rawLog(deps, { ...query, task, attempt, unread, caller, cut });
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
      const reading = { stop: () => stopped.abort(), unread, caller, cut };
      return new Response(eventStream(texts, deps.clock, reading), {
        headers: { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' },
      });
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

type LineQuery = Pick<LogViewParams, 'q' | 'severity' | 'tail'>;
const ofLines = ({ q, severity, tail }: LineQuery): boolean =>
  q !== undefined || severity !== undefined || tail !== undefined;

/** Events of this log are chunks, not lines. Errors: INVALID_ARGUMENT. */
function checkLineQuery(query: LineQuery, events: boolean): void {
  if (!events || !ofLines(query)) return;
  throw new TappetError(
    'INVALID_ARGUMENT',
    'q, severity and tail choose lines, but the events of this log are chunks.',
    { fix: 'Ask for GET /api/v1/executions/{name}/logs with task=N: its events are lines.' },
  );
}

interface RawParams extends LineQuery {
  readonly task: Task;
  readonly attempt: number;
  readonly stream?: LogStream | undefined;
  readonly unread: UnreadAnswers;
  readonly caller: string;
  readonly cut: (() => void) | undefined;
}

function rawLog(deps: HttpDeps, params: RawParams): Response {
  const { task, attempt, stream, unread, caller, cut, ...lines } = params;
  const { execution, index } = task;
  const stopped = new AbortController();
  const { signal } = stopped;
  const held = { bytes: 0 };
  const bytes = ofLines(lines)
    ? bytesOfLines(readLines({ ...deps, ...lines, execution, task: index, attempt, stream, held, signal }))
    : bytesOf(
        deps.logs.read(
          { execution, index, attempt },
          { signal, ...(stream === undefined ? {} : { stream }) },
        ),
      );
  return new Response(byteStream(bytes, { stop: () => stopped.abort(), unread, caller, held, cut }), {
    headers: { 'content-type': 'text/plain; charset=utf-8' },
  });
}

async function* bytesOf(chunks: AsyncIterable<LogChunk>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for await (const { data, missing } of chunks) {
    yield missing === undefined ? unshared(data) : new Uint8Array(Buffer.from(`\n${gapText(missing)}\n`));
  }
}

/** The same bytes, without a copy where they are in no memory that threads share: they never are. */
function unshared(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = data;
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : new Uint8Array(data);
}

async function* bytesOfLines(
  batches: AsyncIterable<readonly LogEntry[]>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const feed = Buffer.from('\n');
  for await (const entries of batches) {
    const parts = entries.flatMap(({ line: { bytes, whole, missing } }) => {
      if (missing !== undefined) return [Buffer.from(`${gapText(missing)}\n`)];
      return whole ? [bytes, feed] : [bytes];
    });
    if (parts.length > 0) yield new Uint8Array(Buffer.concat(parts));
  }
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

function logEvent({ stream, time, offset, data, missing }: LogChunk): LogEventResource {
  const common = { stream, time: new Date(time).toISOString(), offset };
  if (missing !== undefined) return { ...common, text: '', missing };
  try {
    return { ...common, text: strictUtf8.decode(data) };
  } catch {
    return { ...common, text: lenientUtf8.decode(data), base64: Buffer.from(data).toString('base64') };
  }
}
