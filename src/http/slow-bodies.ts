import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';

const CHECK_MS = 2_000;
/** A body is cut off where it was not there as a whole at so many looks: after 30 to 32 s. */
const LOOKS = 15;
const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n';

/**
 * One connection, and how the body of the request in it comes on. By looks and not by the clock, so that a call costs
 * no look at the time, and one that was suspended with the machine has the time that it was promised.
 */
export class Transfer {
  #incoming: IncomingMessage | undefined;
  #outgoing: ServerResponse | undefined;
  #seen: IncomingMessage | undefined;
  #looks = 0;
  #bytes = 0;
  /** What has come in is no longer a measure: it may go on as long as it moves. */
  long = false;

  /** Its next request. */
  begin(incoming: IncomingMessage, outgoing: ServerResponse): void {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.long = false;
  }

  /** Cuts off a body that takes too long. */
  look(socket: Socket): void {
    const incoming = this.#incoming;
    if (incoming === undefined || incoming.complete) {
      this.#incoming = undefined;
      this.#outgoing = undefined;
      this.#seen = undefined;
      return;
    }
    const { bytesRead } = socket;
    const moved = bytesRead !== this.#bytes;
    this.#bytes = bytesRead;
    if (incoming !== this.#seen || (this.long && moved)) {
      this.#seen = incoming;
      this.#looks = 0;
      return;
    }
    this.#looks += 1;
    if (this.#looks >= LOOKS) this.#cut(socket);
  }

  #cut(socket: Socket): void {
    if (this.#outgoing?.headersSent === false && socket.writable) socket.write(TIMED_OUT);
    socket.destroySoon();
  }
}

/** All connections of a server. Node's own limit for a whole request would be one for bodies that take hours, too. */
export class SlowBodies {
  readonly #clock: Clock;
  readonly #transfers = new Map<Socket, Transfer>();
  #cancel: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get sockets(): Iterable<Socket> {
    return this.#transfers.keys();
  }

  add(socket: Socket): void {
    this.#transfers.set(socket, new Transfer());
    socket.once('close', () => this.#transfers.delete(socket));
  }

  of(socket: Socket): Transfer | undefined {
    return this.#transfers.get(socket);
  }

  /** Looks every two seconds, until `stop`. */
  start(): void {
    this.#cancel = this.#clock.setTimer(CHECK_MS, () => {
      for (const [socket, transfer] of this.#transfers) transfer.look(socket);
      this.start();
    });
  }

  stop(): void {
    this.#cancel();
  }
}
