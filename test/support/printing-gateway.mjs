// For the I/O errors and the power cut: a gateway whose containers print a few lines and have ended. That they were
// started is known to the engine at DOCKER_HOST (test/support/counting-engine.ts), as a real one outlives its gateway
// and counts for itself.
import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { endedAt, IdleRunner } from './idle-runner.mjs';
import { serveWrapped } from './wrapped-gateway.mjs';

const LINES = 20;
const outputOf = (name) =>
  Buffer.from(Array.from({ length: LINES }, (_, n) => `line ${n} of ${name}\n`).join(''));

class PrintingRunner extends IdleRunner {
  #socketPath;

  constructor({ engine, socketPath }) {
    super(engine, 'a printer');
    this.#socketPath = socketPath;
  }
  async ensure({ name }, log) {
    const { startTime, first } = await this.#ask('POST', name);
    if (!first) return { outcome: 'adopted', status: await this.inspect(name) };
    const captured = this.#print(name, log).catch(() => false);
    return { outcome: 'started', startTime, captured };
  }
  async logs(name, log) {
    await this.#print(name, log);
  }
  async inspect(name) {
    const { startTime } = await this.#ask('GET', name);
    return startTime === null ? { state: 'missing' } : endedAt(startTime);
  }
  async remove(name) {
    await this.#ask('DELETE', name);
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
