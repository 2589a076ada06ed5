import type { OutputFile, StagedFile } from '../../src/core/runner.ts';

/** A file as a container got it. */
export interface ReceivedFile {
  readonly to: string;
  readonly mode: number;
  readonly content: Buffer;
}

/** Reads them to their ends. Errors: theirs; the reason of `signal`; a body of another length than was announced. */
export async function readFiles(
  files: AsyncIterable<StagedFile>,
  signal: AbortSignal | undefined,
): Promise<ReceivedFile[]> {
  const received: ReceivedFile[] = [];
  signal?.throwIfAborted();
  for await (const { to, size, mode = 0o644, body } of files) {
    const parts: Uint8Array[] = [];
    for await (const part of body) {
      signal?.throwIfAborted();
      parts.push(part);
    }
    const content = Buffer.concat(parts);
    if (content.length !== size) throw new Error(`${to} has ${content.length} bytes, not ${size}`);
    received.push({ to, mode, content });
  }
  return received;
}

/** What of `leaves` is at `path` or below it; `check` is called before each chunk and may throw. */
export async function* scriptedOutputs(
  leaves: Readonly<Record<string, string | Uint8Array>>,
  path: string,
  signal: AbortSignal | undefined,
  check: () => void,
): AsyncGenerator<OutputFile> {
  for (const [place, content] of Object.entries(leaves)) {
    if (place !== path && !place.startsWith(`${path}/`)) continue;
    const bytes = Buffer.from(content);
    yield { path: place.slice(path.length + 1), size: bytes.length, body: halves(bytes, signal, check) };
  }
}

async function* halves(
  bytes: Buffer,
  signal: AbortSignal | undefined,
  check: () => void,
): AsyncGenerator<Uint8Array> {
  const middle = Math.ceil(bytes.length / 2);
  for (const part of [bytes.subarray(0, middle), bytes.subarray(middle)]) {
    signal?.throwIfAborted();
    check();
    if (part.length > 0) yield part;
  }
}
