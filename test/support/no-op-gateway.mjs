// For bench/uploads.mjs: a gateway whose containers do nothing: each has ended with exit code 0 as soon as it was started. Everything else is
// the product: an engine must be there to be found, and is not asked for anything.
import { endedAt, IdleRunner } from './idle-runner.mjs';
import { serveWrapped } from './wrapped-gateway.mjs';

class NoOpRunner extends IdleRunner {
  #ended = new Map();

  async ensure({ name }) {
    const startTime = Date.now();
    this.#ended.set(name, startTime);
    return { outcome: 'started', startTime, captured: Promise.resolve(true) };
  }
  async inspect(name) {
    const startTime = this.#ended.get(name);
    return startTime === undefined ? { state: 'missing' } : endedAt(startTime);
  }
  async remove(name) {
    this.#ended.delete(name);
  }
}

await serveWrapped({ runner: ({ engine }) => new NoOpRunner(engine, 'nothing') });
