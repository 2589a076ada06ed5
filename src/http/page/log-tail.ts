import { keyOf } from '../../core/execution.ts';
import type { AttemptKey } from '../../core/execution.ts';
import { gapText } from '../../core/log-gap.ts';
import type { LogChunk, LogSink, LogStream } from '../../core/log-sink.ts';

/** Reading begins at the beginning of one of the log's files: what that may cost beside what is shown. */
const SCAN_BYTES = 8 * 1024 * 1024;
/** The logs of one page together cost no more than this. */
export const MAX_SCAN_BYTES = 8 * SCAN_BYTES;
/** A window that holds too little (many small chunks, the other stream) is followed by one so many times as large. */
const GROWTH = 8;
/** Chunks that are no longer needed are let go so many at a time. */
const FORGET_CHUNKS = 4096;

/** What one stream wrote before the other wrote again. */
export interface LogPart {
  readonly stream: LogStream;
  readonly text: string;
}
export interface LogExcerpt {
  readonly parts: readonly LogPart[];
  /** It does not begin with the first byte. */
  readonly cut: boolean;
  /** Continue after this position; null where nothing more was there. */
  readonly next: number | null;
}

/** What reading its end may cost, in bytes; compare with MAX_SCAN_BYTES. */
export async function tailCost(logs: LogSink, key: AttemptKey): Promise<number> {
  return Math.min(await logs.end(keyOf(key)), SCAN_BYTES);
}

/** The last `bytes` bytes or little less, from the beginning of a line on. What is before them is not read. */
export async function readTail(
  logs: LogSink,
  attempt: AttemptKey,
  { bytes }: { readonly bytes: number },
): Promise<LogExcerpt> {
  const key = keyOf(attempt);
  const end = await logs.end(key);
  for (let window = 2 * bytes; ; window *= GROWTH) {
    const after = end - window - 1;
    const last = await lastChunks(logs.read(key, after < 0 ? {} : { after }), bytes);
    if (after >= 0 && last.size < bytes) continue;
    const cut = after >= 0 || last.cut;
    return { parts: partsOf(last.chunks, cut), cut, next: null };
  }
}

/** The last `bytes` bytes of these chunks. */
async function lastChunks(
  chunks: AsyncIterable<LogChunk>,
  bytes: number,
): Promise<{ readonly chunks: readonly LogChunk[]; readonly size: number; readonly cut: boolean }> {
  const kept: LogChunk[] = [];
  let first = 0;
  let size = 0;
  let seen = 0;
  for await (const chunk of chunks) {
    seen += chunk.data.byteLength;
    kept.push(chunk);
    size += chunk.data.byteLength;
    for (let oldest = lengthAt(kept, first); size - oldest >= bytes; oldest = lengthAt(kept, first)) {
      size -= oldest;
      first++;
    }
    if (first >= FORGET_CHUNKS) {
      kept.splice(0, first);
      first = 0;
    }
  }
  const surplus = Math.max(0, size - bytes);
  const shown = kept.slice(first).map((chunk, i) => (i === 0 ? without(chunk, surplus) : chunk));
  return { chunks: shown, size, cut: seen > Math.min(size, bytes) };
}

/** About `bytes` bytes after a position (from the start without one). */
export async function readFrom(
  logs: LogSink,
  key: AttemptKey,
  { after, bytes }: { readonly after: number | undefined; readonly bytes: number },
): Promise<LogExcerpt> {
  const kept: LogChunk[] = [];
  let size = 0;
  let next: number | null = null;
  for await (const chunk of logs.read(key, after === undefined ? {} : { after })) {
    if (size >= bytes) {
      next = kept.at(-1)?.position ?? null;
      break;
    }
    kept.push(chunk);
    size += chunk.data.byteLength;
  }
  return { parts: partsOf(kept, false), cut: after !== undefined, next };
}

const lengthAt = (chunks: readonly LogChunk[], i: number): number => chunks[i]?.data.byteLength ?? Infinity;

const without = (chunk: LogChunk, bytes: number): LogChunk => ({
  ...chunk,
  data: chunk.data.subarray(bytes),
});

/** Neighbours of one stream together; a character that two chunks share is whole. */
function partsOf(chunks: readonly LogChunk[], cut: boolean): readonly LogPart[] {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const parts: { stream: LogStream; text: string }[] = [];
  for (const { stream, data, missing } of chunks) {
    const text =
      missing === undefined ? decoders[stream].decode(data, { stream: true }) : `\n${gapText(missing)}\n`;
    const last = parts.at(-1);
    if (last?.stream === stream) last.text += text;
    else parts.push({ stream, text });
  }
  const [first, ...rest] = parts.map(({ stream, text }) => ({ stream, text: cleanLog(text) }));
  if (first === undefined) return [];
  // Half a line says little, half a character nothing.
  return cut ? [{ ...first, text: first.text.replace(/^[^\n]*\n/, '') }, ...rest] : [first, ...rest];
}

/** Colours and cursor moves of a terminal, and the line that a progress bar wrote over and over. */
function cleanLog(text: string): string {
  return (
    text
      // oxlint-disable-next-line no-control-regex
      .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b\n]*(?:\u0007|\u001b\\))/g, '')
      .replace(/(\r+)(\n?)/g, (_all, returns: string, end: string) => end || '\n'.repeat(returns.length))
  );
}
