import type { Clock } from '../core/clock.ts';
import type { LogSink, LogStream } from '../core/log-sink.ts';
import { isTerminal } from '../core/states.ts';
import type { AttemptSpan } from '../core/store.ts';
import { Funnel } from '../lib/funnel.ts';
import { onAbort } from '../lib/service.ts';
import type { HttpStore } from './deps.ts';
import { lineTest } from './log-entries.ts';
import type { LineFilter, LogEntry } from './log-entries.ts';
import { followAttempt, pause } from './log-follow.ts';
import { lastLines, lastOfAll } from './log-last.ts';
import { LineReader } from './log-lines.ts';
import type { LogLine } from './log-lines.ts';
import { mergeByTime } from './log-merge.ts';

const PAGE = 1000;
/** Of the last lines so much at a time is made an answer. */
const PART_LINES = 500;
const PART_BYTES = 64 * 1024;
/** A look at a large execution costs more, and is taken less often: this long for each attempt listed. */
const LOOK_MS_PER_ATTEMPT = 0.2;
const MIN_LOOK_MS = 500;
/** The engine's clock stamps an attempt's end, ours the lines; and its last output may be taken a while later. */
const SLACK_MS = 60_000;

export interface LogViewParams extends LineFilter {
  readonly store: HttpStore;
  readonly logs: LogSink;
  readonly clock: Clock;
  readonly execution: string;
  /** Only of this task, this number of attempt, this stream. */
  readonly task?: number | undefined;
  readonly attempt?: number | undefined;
  readonly stream?: LogStream | undefined;
  /** Only the last so many lines. */
  readonly tail?: number | undefined;
  /** Told how many bytes of lines are held until they are asked for, beside those handed on last. */
  readonly held?: { bytes: number };
  readonly signal: AbortSignal;
}

type Span = AttemptSpan;
/** Logs that go on, with how far each was read. */
type Readers = Map<string, { readonly span: Span; readonly reader: LineReader }>;

/** The lines of an execution that are there now, by time, in batches. */
export async function* readLines(params: LogViewParams): AsyncGenerator<readonly LogEntry[]> {
  yield* history(params, await spansOf(params), undefined);
}

/**
 * The same, and then each line as it comes, until the execution (or the one task) has ended. A line that is still being
 * written comes when it is complete.
 */
export async function* followLines(params: LogViewParams): AsyncGenerator<readonly LogEntry[]> {
  const spans = await spansOf(params);
  const readers: Readers = new Map();
  yield* history(params, spans, readers);
  if (params.signal.aborted) return;
  const left = new AbortController();
  const undo = onAbort(params.signal, () => left.abort());
  const funnel = new Funnel<readonly LogEntry[]>();
  const live = new Live({ ...params, signal: left.signal }, funnel);
  void live.run(spans, readers).then(
    () => funnel.end(),
    (error: unknown) => funnel.fail(error),
  );
  try {
    yield* funnel.values();
  } finally {
    undo();
    left.abort();
  }
}

/** With `readers` the logs that have not ended are left to be read on, and their last line to be completed. */
async function* history(
  params: LogViewParams,
  spans: readonly Span[],
  readers: Readers | undefined,
): AsyncGenerator<readonly LogEntry[]> {
  const wanted = lineTest(params);
  const { since = -Infinity, signal, tail } = params;
  const recent = spans.filter(({ endTime }) => endTime === null || endTime + SLACK_MS >= since);
  const goesOn = (span: Span): boolean => readers !== undefined && !isTerminal(span.state);
  if (tail !== undefined) {
    const sources = recent.map((span) => ({
      ...span,
      last: async (lines: number) => {
        const open = goesOn(span);
        const last = await lastLines(readerOptions(params, span), { lines, wanted, open });
        if (open) readers?.set(idOf(span), { span, reader: last.reader });
        return last.lines;
      },
    }));
    yield* inParts(await lastOfAll(sources, tail), params);
    return;
  }
  const sources = recent.map((span) => ({
    index: span.index,
    attempt: span.attempt,
    from: span.createTime,
    async *lines(): AsyncGenerator<readonly LogLine[]> {
      const reader = new LineReader(readerOptions(params, span));
      for await (const lines of reader.available(signal)) yield lines.filter(wanted);
      if (goesOn(span)) readers?.set(idOf(span), { span, reader });
      else yield reader.rest().filter(wanted);
    },
  }));
  for await (const entries of mergeByTime(sources)) {
    if (signal.aborted) return;
    yield entries;
  }
}

/** What was handed on is let go: the last lines of all may be much. */
function* inParts(
  entries: readonly LogEntry[],
  { held, signal }: LogViewParams,
): Generator<readonly LogEntry[]> {
  const left = [...entries];
  let bytes = left.reduce((sum, { line }) => sum + line.bytes.length, 0);
  while (left.length > 0 && !signal.aborted) {
    let size = 0;
    let count = 0;
    for (; count < Math.min(left.length, PART_LINES) && size < PART_BYTES; count++)
      size += left[count]?.line.bytes.length ?? 0;
    bytes -= size;
    if (held !== undefined) held.bytes = bytes;
    yield left.splice(0, count);
  }
}

const idOf = ({ index, attempt }: Pick<Span, 'index' | 'attempt'>): string => `${index}.${attempt}`;

function readerOptions({ logs, execution, stream }: LogViewParams, { index, attempt }: Span) {
  return { logs, key: { execution, index, attempt }, stream };
}

/** Attempts that are asked for. */
async function spansOf({ store, execution, task, attempt }: LogViewParams): Promise<Span[]> {
  const spans: Span[] = [];
  if (task !== undefined) spans.push(...(await store.listAttempts(execution, task)));
  else {
    let cursor: string | null | undefined;
    while (cursor !== null) {
      const page: Awaited<ReturnType<HttpStore['listSpans']>> = await store.listSpans(
        execution,
        cursor === undefined ? { size: PAGE } : { size: PAGE, cursor },
      );
      spans.push(...page.items);
      cursor = page.nextCursor;
    }
  }
  return attempt === undefined ? spans : spans.filter((span) => span.attempt === attempt);
}

/** Follows every attempt that goes on, and each that begins, into the funnel. */
class Live {
  readonly #params: LogViewParams;
  readonly #funnel: Funnel<readonly LogEntry[]>;
  readonly #wanted: (line: LogLine) => boolean;
  readonly #known = new Set<string>();
  readonly #running = new Set<Promise<void>>();

  constructor(params: LogViewParams, funnel: Funnel<readonly LogEntry[]>) {
    this.#params = params;
    this.#funnel = funnel;
    this.#wanted = lineTest(params);
  }

  /** Resolves when there is nothing more to come, or at the abort. Errors: the store's. */
  async run(spans: readonly Span[], readers: Readers): Promise<void> {
    const { clock, signal } = this.#params;
    for (const span of spans) this.#known.add(idOf(span));
    for (const { span, reader } of readers.values()) this.#follow(span, reader);
    while (!signal.aborted) {
      // First whether it has ended: what is listed after that is all there will ever be.
      const ended = await this.#hasEnded();
      const now = await spansOf(this.#params);
      for (const span of now) {
        if (this.#known.has(idOf(span))) continue;
        this.#known.add(idOf(span));
        this.#follow(span, new LineReader(readerOptions(this.#params, span)));
      }
      if (ended) break;
      await pause(clock, signal, Math.max(MIN_LOOK_MS, now.length * LOOK_MS_PER_ATTEMPT));
    }
    await Promise.all(this.#running);
  }

  async #hasEnded(): Promise<boolean> {
    const { store, execution, task } = this.#params;
    const row =
      task === undefined ? await store.getExecution(execution) : await store.getTask(execution, task);
    return row === undefined || isTerminal(row.state);
  }

  #follow(span: Span, reader: LineReader): void {
    const following = this.#pump(span, reader)
      .catch((error: unknown) => this.#funnel.fail(error))
      .finally(() => this.#running.delete(following));
    this.#running.add(following);
  }

  async #pump(span: Span, reader: LineReader): Promise<void> {
    const { store, logs, clock, execution, stream, signal } = this.#params;
    const { index, attempt, state } = span;
    const params = { store, logs, clock, execution, index, attempt, after: undefined, stream, signal };
    const put = async (lines: readonly LogLine[]): Promise<void> => {
      const entries = lines.filter(this.#wanted).map((line) => ({ line, index, attempt }));
      if (entries.length > 0) await this.#funnel.put(entries);
    };
    for await (const chunk of followAttempt(params, { execution, index, attempt, state }, reader.position)) {
      await put(reader.take(chunk));
    }
    if (!signal.aborted) await put(reader.rest());
  }
}
