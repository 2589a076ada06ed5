import type { Clock } from '../../core/clock.ts';
import type { LogStream, LogWriter } from '../../core/log-sink.ts';
import type { ContainerStatus } from '../../core/runner.ts';
import { Demux, coalesce } from './demux.ts';
import type { Piece } from './demux.ts';
import type { EngineClient } from './engine-client.ts';
import { readStatus } from './exit.ts';
import { GAP_LINE, UNSEEN_END_LINE } from './gap-line.ts';
import { LogPosition } from './log-position.ts';
import type { Search } from './log-position.ts';
import { OutputWatch } from './output-watch.ts';
import { endedUnseen } from './unseen-end.ts';

/** Between two readings while output comes, at least; and this many times as long as the last reading took. */
const MIN_PAUSE_MS = 100;
const PAUSE_FACTOR = 5;
/** A container that rewrites the engine's log faster than it can be read is given up after so many tries. */
const MAX_REALIGNMENTS = 5;

export interface ResumeDeps {
  readonly client: EngineClient;
  readonly clock: Clock;
}

type Positions = Readonly<Record<LogStream, LogPosition>>;

/**
 * Takes what the engine's log holds beyond `writer.cursor()`, until the container has ended.
 *
 * Each reading is one that ends, and skips of each stream the number of bytes that were taken: only these give every
 * byte. A following one loses data when the engine rotates its log, and an unterminated last line; it is opened beside,
 * and its bytes are only the sign that another reading is due.
 */
export async function resumeLog(
  deps: ResumeDeps,
  name: string,
  writer: LogWriter,
  signal: AbortSignal,
): Promise<void> {
  const cursor = writer.cursor();
  const positions = { stdout: new LogPosition(cursor.stdout), stderr: new LogPosition(cursor.stderr) };
  const reading = { client: deps.client, name, signal };
  const found = await statusOf(reading);
  const watch = found?.state === 'running' ? new OutputWatch(deps.client, deps.clock, name) : null;
  const close = () => watch?.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    await watch?.opened();
    while (!signal.aborted) {
      const running = watch !== null && (await statusOf(reading))?.state === 'running';
      const started = deps.clock.now();
      await readNew(reading, positions, writer);
      if (!running) break;
      const took = Math.max(0, deps.clock.now() - started);
      if (!signal.aborted) await watch.next(Math.max(MIN_PAUSE_MS, took * PAUSE_FACTOR));
    }
  } finally {
    signal.removeEventListener('abort', close);
    close();
  }
  if (found?.state !== 'exited' || signal.aborted || positions.stderr.endsInGap) return;
  if (await endedUnseen(deps.client, deps.clock, name, found.endTime))
    await writer.write('stderr', Buffer.from(UNSEEN_END_LINE));
}

async function statusOf({ client, name }: Reading): Promise<ContainerStatus | null> {
  const found = await client.inspectContainer(name);
  return found === null ? null : readStatus(found.State);
}

interface Reading {
  readonly client: EngineClient;
  readonly name: string;
  readonly signal: AbortSignal;
}

/** What the log holds beyond the positions now. */
async function readNew(reading: Reading, positions: Positions, writer: LogWriter): Promise<void> {
  for (let tries = 0; tries < MAX_REALIGNMENTS; tries++) {
    const misaligned = await readFrom(reading, positions, writer);
    if (misaligned.length === 0 || reading.signal.aborted) return;
    // The engine has dropped the beginning of its log: what was taken last tells where to go on in the rest.
    for (const stream of misaligned) {
      if (await realign(reading, stream, positions[stream])) continue;
      if (reading.signal.aborted) return;
      if (stream === 'stdout' || !positions.stderr.endsInGap)
        await writer.write('stderr', Buffer.from(GAP_LINE));
      positions[stream].restart();
    }
  }
}

/** Reads both streams; returns those whose log is not what it was at the position, of which nothing was written. */
async function readFrom(reading: Reading, positions: Positions, writer: LogWriter): Promise<LogStream[]> {
  const skips = { stdout: positions.stdout.skip(), stderr: positions.stderr.skip() };
  for await (const { stream, data } of pieces(reading)) {
    const fresh = skips[stream].push(data);
    if (fresh === null || fresh.length === 0) continue;
    await writer.write(stream, fresh);
    positions[stream].took(fresh);
  }
  return (['stdout', 'stderr'] as const).filter((stream) => !skips[stream].aligned);
}

/** Moves the position to behind the last bytes taken, where the log still has them. */
async function realign(reading: Reading, stream: LogStream, position: LogPosition): Promise<boolean> {
  for (const search of position.searches()) {
    const end = await placeOf(reading, stream, search);
    // What could not be read to its end tells nothing.
    if (reading.signal.aborted) return false;
    if (end === null) continue;
    position.moveTo(search, end);
    return true;
  }
  return false;
}

async function placeOf(reading: Reading, stream: LogStream, search: Search): Promise<number | null> {
  for await (const piece of pieces(reading)) {
    const end = piece.stream === stream ? search.push(piece.data) : null;
    if (end !== null) return end;
  }
  return search.end();
}

/** The engine's log as it is now; nothing where the container is gone. Errors: ENGINE_UNAVAILABLE, ENGINE_REFUSED. */
async function* pieces({ client, name, signal }: Reading): AsyncGenerator<Piece> {
  const response = await client.readLog(name, signal);
  if (response === null) return;
  const demux = new Demux();
  try {
    for await (const chunk of response) {
      if (!(chunk instanceof Buffer)) throw new TypeError('not bytes');
      yield* coalesce(demux.push(chunk));
    }
  } catch (error) {
    if (signal.aborted) return;
    throw client.transport.cut(`reading the log of container ${name}`, error);
  } finally {
    response.destroy();
  }
  // A log that the engine cannot read itself: others can be read as before.
  if (demux.systemError !== null)
    throw client.transport.broken(`reading the log of container ${name}`, demux.systemError);
  // Something between us and the engine ended the answer as if it were complete.
  if (!demux.atBoundary && !signal.aborted)
    throw client.transport.cut(`reading the log of container ${name}`, null);
}
