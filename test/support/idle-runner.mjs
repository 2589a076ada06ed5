/** What runners of programs for tests and benchmarks have alike: an image is there, and nothing is asked of an engine. */
const DIGEST = `sha256:${'0'.repeat(64)}`;

export class IdleRunner {
  #description;

  constructor(engine, description) {
    this.engine = engine;
    this.#description = description;
  }
  async capabilities() {
    return { cpus: 2, memoryBytes: 2 ** 40, description: this.#description, warnings: [] };
  }
  async prepare() {
    return { digest: DIGEST, repoDigest: null, pulledBytes: null };
  }
  pulls() {
    return [];
  }
  async *outputs() {
    yield* [];
  }
  async logs() {}
  async usage() {
    return null;
  }
  async stop() {}
  async kill() {}
  async list() {
    return [];
  }
  async *hints(signal) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    yield* [];
  }
}

/** Of a container whose program ended with 0 as soon as it began. */
export function endedAt(startTime) {
  const exit = { exitCode: 0, signal: null, oomKilled: false, error: null };
  return { state: 'exited', startTime, endTime: startTime, exit };
}
