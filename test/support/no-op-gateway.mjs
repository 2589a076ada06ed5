// For bench/uploads.mjs: a gateway whose containers do nothing: each has ended with exit code 0 as soon as it was started. Everything else is
// the product: an engine must be there to be found, and is not asked for anything.
import { serveWrapped } from './wrapped-gateway.mjs';

const DIGEST = `sha256:${'0'.repeat(64)}`;

class NoOpRunner {
  #ended = new Map();

  constructor(engine) {
    this.engine = engine;
  }
  async capabilities() {
    return { cpus: 2, memoryBytes: 2 ** 40, description: 'nothing', warnings: [] };
  }
  async prepare() {
    return { digest: DIGEST, repoDigest: null, pulledBytes: null };
  }
  async ensure({ name }) {
    const startTime = Date.now();
    this.#ended.set(name, startTime);
    return { outcome: 'started', startTime, captured: Promise.resolve(true) };
  }
  async *outputs() {
    yield* [];
  }
  async logs() {}
  async inspect(name) {
    const startTime = this.#ended.get(name);
    if (startTime === undefined) return { state: 'missing' };
    const exit = { exitCode: 0, signal: null, oomKilled: false, error: null };
    return { state: 'exited', startTime, endTime: startTime, exit };
  }
  async usage() {
    return null;
  }
  async stop() {}
  async kill() {}
  async remove(name) {
    this.#ended.delete(name);
  }
  async list() {
    return [];
  }
  async *hints(signal) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    yield* [];
  }
}

await serveWrapped({ runner: ({ engine }) => new NoOpRunner(engine) });
