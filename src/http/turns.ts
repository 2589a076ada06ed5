import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** What node needs for a call, whatever it brings. */
const CALL_BYTES = 4 * 1024;
/** Of a body that nobody reads, node takes no more. */
const UNREAD_BODY_BYTES = 64 * 1024;
/** What calls that wait may take in one connection: some 250 small ones. No sender of calls has any wait. */
const CONNECTION_BYTES = 1024 * 1024;
/** In all connections. */
const ALL_BYTES = 32 * 1024 * 1024;

interface Waiting {
  readonly call: () => void;
  readonly bytes: number;
}

interface Connection {
  /** `over`: the last answer was given, nothing more is begun. */
  state: 'idle' | 'busy' | 'over';
  waiting: Waiting[];
  bytes: number;
}

/**
 * The calls of each connection, one after the other. Node begins all that come in one breath at once, and only their
 * answers wait for each other: so one connection would have hundreds of calls in the making, and what was done for some
 * of them would never be told, where an answer before theirs is the last of its connection.
 *
 * What waits is not read, and is bounded: a connection that brings more is closed, with the call that runs in it.
 */
export class Turns {
  readonly #connections = new WeakMap<Socket, Connection>();
  /** Of all that wait. */
  #bytes = 0;

  /** Runs `call` when those before it in the connection were answered; not at all where one of those answers was the last. */
  take(incoming: IncomingMessage, call: () => void): void {
    const { socket } = incoming;
    const connection = this.#of(socket);
    if (connection.state === 'over') return;
    if (connection.state === 'idle') {
      connection.state = 'busy';
      call();
      return;
    }
    const bytes = bytesOf(incoming);
    if (connection.bytes + bytes > CONNECTION_BYTES || this.#bytes + bytes > ALL_BYTES) {
      this.#end(connection);
      socket.destroy();
      return;
    }
    this.#count(connection, bytes);
    connection.waiting.push({ call, bytes });
  }

  /**
   * The call that runs was answered. To be said when node has closed the connection where that answer was the last: one
   * that can still be written to is whole, and so are the calls that wait in it.
   */
  next(socket: Socket): void {
    const connection = this.#of(socket);
    if (!socket.writable) {
      this.#end(connection);
      return;
    }
    const next = connection.waiting.shift();
    if (next === undefined) {
      connection.state = 'idle';
      return;
    }
    this.#count(connection, -next.bytes);
    next.call();
  }

  #of(socket: Socket): Connection {
    const known = this.#connections.get(socket);
    if (known !== undefined) return known;
    const connection: Connection = { state: 'idle', waiting: [], bytes: 0 };
    this.#connections.set(socket, connection);
    socket.once('close', () => this.#end(connection));
    return connection;
  }

  #count(connection: Connection, bytes: number): void {
    connection.bytes += bytes;
    this.#bytes += bytes;
  }

  #end(connection: Connection): void {
    connection.state = 'over';
    connection.waiting = [];
    this.#count(connection, -connection.bytes);
  }
}

/** At most, while nobody reads it. */
function bytesOf({ headers, rawHeaders }: IncomingMessage): number {
  const head = rawHeaders.reduce((sum, { length }) => sum + length, CALL_BYTES);
  const body = headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : Infinity;
  return head + Math.min(body, UNREAD_BODY_BYTES);
}
