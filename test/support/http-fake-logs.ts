import type { AttemptKey } from '../../src/core/execution.ts';
import type { LogChunk, LogReadParams, LogSink, LogStream, OpenLog } from '../../src/core/log-sink.ts';
import { deferred } from '../../src/lib/deferred.ts';

/** Logs in memory; a reader that follows is woken by `push` and `finish`. */
export class FakeLogs implements LogSink {
  readonly #chunks = new Map<string, LogChunk[]>();
  readonly #ended = new Set<string>();
  #wake = deferred<void>();

  push(key: AttemptKey, stream: LogStream, data: string | Uint8Array): void {
    const chunks = this.#of(key);
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    const offset = chunks.filter((c) => c.stream === stream).reduce((sum, c) => sum + c.data.byteLength, 0);
    chunks.push({ stream, offset, position: chunks.length + 1, time: 0, data: bytes });
    this.#changed();
  }
  finish(key: AttemptKey): void {
    this.#ended.add(JSON.stringify(key));
    this.#changed();
  }

  async *read(key: AttemptKey, params: LogReadParams): AsyncGenerator<LogChunk> {
    let position = params.after ?? 0;
    for (;;) {
      const changed = this.#wake.promise;
      const over = params.ended?.aborted === true;
      for (const chunk of this.#of(key).slice(position)) {
        position = chunk.position;
        if (params.stream === undefined || params.stream === chunk.stream) yield chunk;
      }
      if (params.follow !== true || params.signal?.aborted === true || over) return;
      if (params.ended === undefined && this.#ended.has(JSON.stringify(key))) return;
      const aborted = new Promise<void>((resolve) => {
        for (const signal of [params.signal, params.ended]) {
          if (signal?.aborted === true) resolve();
          signal?.addEventListener('abort', () => resolve(), { once: true });
        }
      });
      await Promise.race([changed, aborted]);
    }
  }
  async end(key: AttemptKey): Promise<number> {
    return this.#of(key).length + 1;
  }
  async open(): Promise<OpenLog> {
    throw new Error('not used here');
  }
  async remove(): Promise<void> {}

  #of({ execution, index, attempt }: AttemptKey): LogChunk[] {
    const id = JSON.stringify({ execution, index, attempt });
    const chunks = this.#chunks.get(id) ?? [];
    this.#chunks.set(id, chunks);
    return chunks;
  }
  #changed(): void {
    const before = this.#wake;
    this.#wake = deferred<void>();
    before.resolve();
  }
}
