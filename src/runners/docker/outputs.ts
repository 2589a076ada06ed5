import type { IncomingMessage } from 'node:http';
import { posix } from 'node:path';
import { extract as newExtract } from 'tar-stream';
import type { Extract, Header } from 'tar-stream';
import type { Clock } from '../../core/clock.ts';
import { TappetError, isTappetError } from '../../core/errors.ts';
import type { OutputFile } from '../../core/runner.ts';
import type { EngineClient } from './engine-client.ts';
import { STALLED_MS } from './stalled.ts';

/** An archive ends with so many zeros: one that does not was cut off. */
const END_MARK_BYTES = 1024;

export interface OutputDeps {
  readonly client: EngineClient;
  readonly clock: Clock;
}

/**
 * See `core/runner.ts`. Abandoned iteration ends the call to the engine. Docker answers nothing else about the container
 * until the last byte is read, not even `inspect`: nobody may ask meanwhile.
 */
export async function* outputs(
  deps: OutputDeps,
  name: string,
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<OutputFile> {
  if (!posix.isAbsolute(path)) throw new TypeError(`"${path}" is no absolute path`);
  const normal = posix.normalize(path);
  const place = normal.length > 1 ? normal.replace(/\/$/, '') : normal;
  const links: string[] = [];
  const params = { ...deps, name, signal };
  yield* filesAt(params, place, '', links);
  // A file's second name has no content in an archive that holds the first; asked for alone it has.
  for (const link of links) yield* filesAt(params, posix.join(place, link), link, []);
}

type Entry = Extract extends AsyncIterable<infer E> ? E : never;

interface Params extends OutputDeps {
  readonly name: string;
  readonly signal: AbortSignal | undefined;
}

/** Where an archive's files belong, and what an error becomes on its way out: the reader of a body meets it first. */
interface Place {
  readonly path: string;
  /** What the files' paths begin with. */
  readonly prefix: string;
  explain(error: unknown): unknown;
}

/** Those of one archive; names that are hard links are added to `links`. */
async function* filesAt(
  params: Params,
  path: string,
  prefix: string,
  links: string[],
): AsyncGenerator<OutputFile> {
  const { client, name, signal } = params;
  const explain = (error: unknown): unknown => {
    if (signal?.aborted === true) return signal.reason;
    return isTappetError(error) ? error : client.transport.cut(`reading ${path} of container ${name}`, error);
  };
  let stream: IncomingMessage | null = null;
  try {
    stream = await client.getArchive(name, path, signal);
    if (stream !== null) yield* filesIn(params.clock, stream, { path, prefix, explain }, links);
  } catch (error) {
    throw explain(error);
  } finally {
    stream?.destroy();
  }
}

async function* filesIn(
  clock: Clock,
  stream: IncomingMessage,
  place: Place,
  links: string[],
): AsyncGenerator<OutputFile> {
  const archive = newExtract();
  const feeding = feed(clock, stream, archive);
  try {
    let top: string | undefined;
    for await (const entry of archive) {
      top ??= topOf(place.path, entry.header.name);
      const below = pathBelow(place.path, top, entry.header.name);
      const path = [place.prefix, below].filter((part) => part !== '').join('/');
      if (entry.header.type === 'link') links.push(path);
      if (isFile(entry.header)) yield* oneFile(entry, path, place);
      else entry.resume();
    }
    // Its errors end the iteration, but not where it had ended already.
    const broken = await feeding;
    if (broken !== null) throw broken;
  } finally {
    archive.destroy();
  }
}

async function* oneFile(entry: Entry, path: string, place: Place): AsyncGenerator<OutputFile> {
  const body = wholeBody(entry, place);
  yield { path, size: entry.header.size, body };
  // What the reader left: the next entry comes after it.
  for await (const _ of body);
}

/**
 * The bytes of one entry; an error where they end too early. It can be left and taken up again: leaving a stream of the
 * archive would end the archive.
 */
function wholeBody(entry: Entry, place: Place): AsyncIterable<Uint8Array> {
  const { name, size } = entry.header;
  const chunks = entry[Symbol.asyncIterator]();
  let bytes = 0;
  const read = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
    const part = await chunks.next();
    if (part.done === true) {
      if (bytes !== size) throw new Error(`it ended after ${bytes} of ${size} bytes of ${name}`);
      return { done: true, value: undefined };
    }
    if (!(part.value instanceof Uint8Array)) throw new TypeError('the content of a file is not bytes');
    bytes += part.value.length;
    return { done: false, value: part.value };
  };
  const next = () =>
    read().catch((error: unknown) => {
      throw place.explain(error);
    });
  return { [Symbol.asyncIterator]: () => ({ next }) };
}

/**
 * The engine's answer into the archive's reader, no faster than that is read. What broke it, which the reader gets too;
 * null = nothing did.
 */
async function feed(clock: Clock, stream: IncomingMessage, archive: Extract): Promise<Error | null> {
  let wake = () => {};
  const awake = () => wake();
  archive.on('drain', awake).on('close', awake).on('error', awake);
  try {
    let zeros = 0;
    for await (const chunk of watched(clock, stream)) {
      zeros = zerosAtEnd(chunk, zeros);
      if (archive.destroying) return null;
      if (archive.write(chunk)) continue;
      await new Promise<void>((resolve) => (wake = resolve));
    }
    if (zeros < END_MARK_BYTES) throw new Error('the archive has no end');
    archive.end(null);
    return null;
  } catch (error) {
    const broken = error instanceof Error ? error : new Error(String(error));
    archive.destroy(broken);
    return broken;
  }
}

/** The chunks of the answer. Only the engine's own silence counts: the reader may take its time. */
async function* watched(clock: Clock, stream: IncomingMessage): AsyncGenerator<Buffer> {
  const late = () => stream.destroy(new Error(`no byte came for ${STALLED_MS / 1000} s`));
  let cancel = clock.setTimer(STALLED_MS, late);
  try {
    for await (const chunk of stream) {
      cancel();
      if (!(chunk instanceof Buffer)) throw new TypeError('the archive is not bytes');
      yield chunk;
      cancel = clock.setTimer(STALLED_MS, late);
    }
  } finally {
    cancel();
  }
}

/** How many zeros the stream ends with after `chunk`, counted up to the end mark's length. */
function zerosAtEnd(chunk: Buffer, before: number): number {
  let zeros = 0;
  while (zeros < chunk.length && zeros < END_MARK_BYTES && chunk[chunk.length - 1 - zeros] === 0) zeros++;
  return zeros === chunk.length ? zeros + before : zeros;
}

function isFile({ type }: Header): boolean {
  return type === 'file' || type === 'contiguous-file';
}

/** What the engine begins each entry with: the last name of what was asked for, on Podman none where that is a volume. */
function topOf(place: string, firstEntry: string): string {
  return firstEntry === '/' ? '' : posix.basename(place);
}

/** An entry's path below `place`. What does not begin with `top` may lead anywhere. */
function pathBelow(place: string, top: string, entry: string): string {
  const [first, ...rest] = entry.replace(/\/$/, '').split('/');
  if (first !== top || rest.some((part) => part === '' || part === '.' || part === '..'))
    throw new TappetError(
      'ENGINE_REFUSED',
      `${place} of the container has an entry "${entry}", which is not below it.`,
    );
  const path = rest.join('/');
  // What the archive's reader makes of bytes that are no text.
  if (path.includes('\uFFFD'))
    throw new TappetError(
      'INVALID_ARGUMENT',
      `The file "${path}" in ${place} of the container has a name that is not UTF-8: nothing else could hold it under its name.`,
      { fix: 'Let the job name it otherwise.' },
    );
  return path;
}
