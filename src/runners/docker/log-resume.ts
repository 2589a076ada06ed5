import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import type { LogStream, LogWriter } from '../../core/log-sink.ts';
import { Demux, coalesce } from './demux.ts';
import type { EngineClient } from './engine-client.ts';
import { readStatus } from './exit.ts';
import { GAP_LINE } from './gap-line.ts';
import { LogPosition } from './log-position.ts';

const STREAMS: readonly LogStream[] = ['stdout', 'stderr'];
/** Between two readings while output comes, at least; and this many times as long as the last reading took. */
const MIN_PAUSE_MS = 100;
const PAUSE_FACTOR = 5;
/** A connection may die without a word: then this finds the end. */
const IDLE_MS = 30_000;
/** A container that rewrites the engine's log faster than it can be read is given up after so many tries. */
const MAX_REALIGNMENTS = 5;

export interface ResumeDeps {
  readonly client: EngineClient;
  readonly clock: Clock;
}

/**
 * Takes what the engine's log holds beyond `writer.cursor()`, until the container has ended.
 *
 * Each reading is one that ends, of one stream, skipping what was taken by its number of bytes: only these give every
 * byte. A following one loses data when the engine rotates its log, and an unterminated last line; it is opened beside,
 * and its bytes are only the sign that another reading is due.
 */
export async function resumeLog(
  deps: ResumeDeps,
  name: string,
  writer: LogWriter,
  signal: AbortSignal,
): Promise<void> {
  const positions = STREAMS.map((stream) => new LogPosition(stream, writer.cursor()[stream]));
  while (!signal.aborted) {
    const follow = (await isRunning(deps.client, name)) ? await deps.client.followLog(name, signal) : null;
    try {
      const started = deps.clock.now();
      for (const position of positions) await readNew(deps.client, name, position, writer, signal);
      if (follow === null) return;
      const took = Math.max(0, deps.clock.now() - started);
      await pause(deps.clock, Math.max(MIN_PAUSE_MS, took * PAUSE_FACTOR), follow);
    } finally {
      follow?.destroy();
    }
  }
}

async function isRunning(client: EngineClient, name: string): Promise<boolean> {
  const found = await client.inspectContainer(name);
  return found !== null && readStatus(found.State).state === 'running';
}

/** Waits for output, the container's end or an idle time; after output at least `ms`, unless the container ends. */
async function pause(clock: Clock, ms: number, follow: IncomingMessage): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    follow.once('close', resolve);
    if (follow.closed) resolve();
  });
  // Flows from here on: what it brings is dropped, so that its end is seen.
  const output = new Promise<void>((resolve) => follow.once('data', () => resolve()));
  await within(clock, IDLE_MS, [ended, output]);
  await within(clock, ms, [ended]);
}

async function within(clock: Clock, ms: number, events: readonly Promise<void>[]): Promise<void> {
  let cancel = () => {};
  const late = new Promise<void>((resolve) => {
    cancel = clock.setTimer(ms, resolve);
  });
  try {
    await Promise.race([late, ...events]);
  } finally {
    cancel();
  }
}

/** One reading of one stream from its position on. */
async function readNew(
  client: EngineClient,
  name: string,
  position: LogPosition,
  writer: LogWriter,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 0; tries < MAX_REALIGNMENTS && !signal.aborted; tries++) {
    if (await readFrom(client, name, position, writer, signal)) return;
    // The engine has dropped the beginning of its log: what was taken last tells where to go on in the rest.
    if (!(await realign(client, name, position, signal)) && !signal.aborted) {
      await writer.write('stderr', Buffer.from(GAP_LINE));
      position.restart();
    }
  }
}

/** false = the log is not what it was at the position; nothing was written. */
async function readFrom(
  client: EngineClient,
  name: string,
  position: LogPosition,
  writer: LogWriter,
  signal: AbortSignal,
): Promise<boolean> {
  const skip = position.skip();
  for await (const data of payloads(client, name, position.stream, signal)) {
    const fresh = skip.push(data);
    if (fresh === 'misaligned') return false;
    if (fresh.length === 0) continue;
    await writer.write(position.stream, fresh);
    position.took(fresh);
  }
  return skip.reached || signal.aborted;
}

/** Moves the position to behind the last bytes taken, where the log still has them. */
async function realign(
  client: EngineClient,
  name: string,
  position: LogPosition,
  signal: AbortSignal,
): Promise<boolean> {
  const search = position.search();
  if (search === null) return false;
  for await (const data of payloads(client, name, position.stream, signal)) {
    const end = search.push(data);
    if (end === null) continue;
    position.moveTo(end);
    return true;
  }
  return false;
}

/** The bytes of one stream in the engine's log; none where the container is gone. Errors: ENGINE_UNAVAILABLE. */
async function* payloads(
  client: EngineClient,
  name: string,
  stream: LogStream,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const response = await client.readLog(name, stream, signal);
  if (response === null) return;
  const demux = new Demux();
  try {
    for await (const chunk of response) {
      if (!(chunk instanceof Buffer)) throw new TypeError('not bytes');
      for (const { data } of coalesce(demux.push(chunk))) yield data;
    }
  } catch (error) {
    if (signal.aborted) return;
    throw client.transport.cut(`reading the log of container ${name}`, error);
  } finally {
    response.destroy();
  }
  if (demux.systemError !== null) throw client.transport.cut(demux.systemError, null);
}
