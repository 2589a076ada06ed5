import type { Socket } from 'node:net';

/** No sender has so many under way in one connection; one who has takes kilobytes for each of his few bytes. */
const MOST_WAITING = 250;

interface Connection {
  busy: boolean;
  readonly waiting: (() => void)[];
}

/**
 * The calls of each connection, one after the other. Node begins all that come in one breath at once, and only their
 * answers wait for each other: so one connection would have hundreds of calls in the making, and what was done for some
 * of them would never be told, where an answer before theirs is the last of its connection.
 */
export class Turns {
  readonly #connections = new WeakMap<Socket, Connection>();

  /** Runs `call` when those before it in the connection were answered; not at all where one of those answers was the last. */
  take(socket: Socket, call: () => void): void {
    const connection = this.#of(socket);
    if (!connection.busy) {
      connection.busy = true;
      call();
    } else if (connection.waiting.length < MOST_WAITING) {
      connection.waiting.push(call);
    } else {
      socket.destroy();
    }
  }

  /** The call that runs was answered. */
  next(socket: Socket): void {
    const connection = this.#of(socket);
    const call = socket.writable ? connection.waiting.shift() : undefined;
    if (call === undefined) connection.busy = false;
    else call();
  }

  #of(socket: Socket): Connection {
    let connection = this.#connections.get(socket);
    if (connection === undefined) {
      connection = { busy: false, waiting: [] };
      this.#connections.set(socket, connection);
    }
    return connection;
  }
}
