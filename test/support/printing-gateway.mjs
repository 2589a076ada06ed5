// For the I/O errors: a gateway whose containers print a few lines and have ended. That they were started is known to
// the engine at DOCKER_HOST (test/support/counting-engine.ts), as a real one outlives its gateway and counts for itself.
import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { serveWrapped } from './wrapped-gateway.mjs';

const DIGEST = `sha256:${'0'.repeat(64)}`;
const LINES = 20;
const outputOf = (name) =>
  Buffer.from(Array.from({ length: LINES }, (_, n) => `line ${n} of ${name}\n`).join(''));

class PrintingRunner {
  #socketPath;

  constructor({ engine, socketPath }) {
    this.engine = engine;
    this.#socketPath = socketPath;
  }
  async capabilities() {
    return { cpus: 2, memoryBytes: 2 ** 40, description: 'a printer', warnings: [] };
  }
  async prepare() {
    return { digest: DIGEST, repoDigest: null, pulledBytes: null };
  }
  pulls() {
    return [];
  }
  async ensure({ name }, log) {
    const { startTime, first } = await this.#ask('POST', name);
    if (!first) return { outcome: 'adopted', status: await this.inspect(name) };
    const captured = this.#print(name, log).catch(() => false);
    return { outcome: 'started', startTime, captured };
  }
  async *outputs() {
    yield* [];
  }
  async logs(name, log) {
    await this.#print(name, log);
  }
  async inspect(name) {
    const { startTime } = await this.#ask('GET', name);
    if (startTime === null) return { state: 'missing' };
    const exit = { exitCode: 0, signal: null, oomKilled: false, error: null };
    return { state: 'exited', startTime, endTime: startTime, exit };
  }
  async usage() {
    return null;
  }
  async stop() {}
  async kill() {}
  async remove(name) {
    await this.#ask('DELETE', name);
  }
  async list() {
    return [];
  }
  async *hints(signal) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    yield* [];
  }

  /** The first line by itself, so that a log can be cut in the middle. */
  async #print(name, log) {
    const output = outputOf(name);
    for (let at = log.cursor().stdout.bytes; at < output.length; at = log.cursor().stdout.bytes) {
      const end = output.indexOf('\n', at) + 1;
      await log.write('stdout', output.subarray(at, at === 0 ? end : output.length));
    }
    return true;
  }

  /** Again where the call itself broke: a real client would say that the engine is away, which is another test's affair. */
  async #ask(method, name) {
    for (;;) {
      try {
        return await this.#askOnce(method, name);
      } catch {
        await pause(20);
      }
    }
  }

  #askOnce(method, name) {
    return new Promise((resolve, reject) => {
      const asked = request(
        { socketPath: this.#socketPath, method, path: `/started/${name}` },
        (response) => {
          let text = '';
          response.on('data', (part) => (text += part));
          response.on('error', reject);
          response.on('end', () => resolve(JSON.parse(text)));
        },
      );
      asked.on('error', reject);
      asked.end();
    });
  }
}

const socketPath = (process.env['DOCKER_HOST'] ?? '').replace('unix://', '');
await serveWrapped({ runner: ({ engine }) => new PrintingRunner({ engine, socketPath }) });
