// @ts-check
// Bare calls on connections that are kept open, timed. An HTTP client would add its own time, and its moods.
import { once } from 'node:events';
import { connect } from 'node:net';

/**
 * The bytes of a call with a JSON body.
 * @param {string} path
 * @param {Record<string, string>} headers besides those of the body
 * @param {string} body
 */
export function callBytes(path, headers, body) {
  const all = {
    host: 'gateway',
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return Buffer.from([`POST ${path} HTTP/1.1`, ...lines, '', body].join('\r\n'));
}

/** One connection, one call at a time. */
export class Caller {
  #socket;
  #answer = '';
  /** @type {((status: number) => void) | undefined} */
  #answered;
  /** @type {((error: Error) => void) | undefined} */
  #failed;

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (/** @type {string} */ text) => this.#read(text));
    socket.on('error', (error) => this.#failed?.(error));
    socket.on('close', () => this.#failed?.(new Error('the connection was closed without an answer')));
  }

  /** @param {number} port */
  static async open(port) {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Caller(socket);
  }

  /**
   * @param {Buffer} bytes
   * @returns {Promise<{ status: number, ms: number }>} from the sending to the last byte of the answer
   */
  async call(bytes) {
    const start = performance.now();
    /** @type {number} */
    const status = await new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(bytes);
    });
    return { status, ms: performance.now() - start };
  }

  close() {
    this.#failed = undefined;
    this.#socket.destroy();
  }

  /** @param {string} text */
  #read(text) {
    this.#answer += text;
    const head = this.#answer.indexOf('\r\n\r\n');
    if (head === -1) return;
    const length = Number(/^content-length: *(\d+)/im.exec(this.#answer.slice(0, head))?.[1]);
    if (!(this.#answer.length >= head + 4 + length)) return;
    const status = Number(this.#answer.slice(9, 12));
    this.#answer = '';
    this.#answered?.(status);
  }
}
