import type { Attempt, AttemptKey } from '../../core/execution.ts';
import type { LogChunk, LogSink, LogStream } from '../../core/log-sink.ts';

/** A log is read from its start on; beyond this, looking for its end would keep the disk busy for one reader. */
export const MAX_SCAN_BYTES = 64 * 1024 * 1024;
/** What a chunk costs beside its bytes: a million chunks of one byte are no small log. */
const CHUNK_COST = 64;
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

export interface Tail extends LogExcerpt {
  /** What it took to find it; compare with `scan`. */
  readonly cost: number;
}

/**
 * The last `bytes` bytes or little less, from the beginning of a line on. `tooLong` where the log has more than `scan`
 * bytes, which a log that is closed says before anything of it is read.
 */
export async function readTail(
  logs: LogSink,
  { logBytes, ...key }: AttemptKey & Pick<Attempt, 'logBytes'>,
  { bytes, scan }: { readonly bytes: number; readonly scan: number },
): Promise<Tail | 'tooLong'> {
  if (logBytes !== null && logBytes.stdout + logBytes.stderr > scan) return 'tooLong';
  const kept: LogChunk[] = [];
  let first = 0;
  let size = 0;
  let seen = 0;
  let cost = 0;
  for await (const chunk of logs.read(key, {})) {
    seen += chunk.data.byteLength;
    cost += chunk.data.byteLength + CHUNK_COST;
    if (cost > scan) return 'tooLong';
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
  const cut = seen > Math.min(size, bytes);
  const shown = kept.slice(first).map((chunk, i) => (i === 0 ? without(chunk, surplus) : chunk));
  return { parts: partsOf(shown, cut), cut, next: null, cost };
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
  for (const { stream, data } of chunks) {
    const text = decoders[stream].decode(data, { stream: true });
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
      .replace(/\r+\n/g, '\n')
      .replace(/\r/g, '\n')
  );
}
