import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';

const CHECK_MS = 2_000;
/** A body is cut off where it was not there as a whole at so many looks: after 30 to 32 s. */
const LOOKS = 15;
/** So much of a body that may take hours has to come in that time: else one known sender could keep a place for ever. */
const LEAST_BYTES = 30 * 1024;
/** Cut off in one turn of the event loop: it takes a tenth of a millisecond each, for which others wait. */
const CUT_AT_ONCE = 100;
const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n';

/**
 * One connection, and how the body of the request in it comes on. By looks and not by the clock, so that a call costs
 * no look at the time, and one that was suspended with the machine has the time that it was promised.
 */
export class Transfer {
  /** Ends the connection at once. By a reset: its end would wait behind what the other side does not read. */
  readonly cut: () => void;
  /** Asked at once: who has gone meanwhile can no longer be told. */
  readonly remoteAddress: string;
  #incoming: IncomingMessage | undefined;
  #outgoing: ServerResponse | undefined;
  #seen: IncomingMessage | undefined;
  #looks = 0;
  /** Read from the connection when `#looks` was 0. */
  #bytes = 0;
  #long: IncomingMessage | undefined;
  #cutting = false;

  constructor(socket: Socket) {
    this.cut = () => void socket.resetAndDestroy();
    this.remoteAddress = socket.remoteAddress ?? '';
  }

  /** Its next request. */
  begin(incoming: IncomingMessage, outgoing: ServerResponse): void {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  /** Where its body has come in too, nothing of it is kept until the next look: its headers may be large. */
  answered(incoming: IncomingMessage): void {
    if (this.#incoming === incoming && incoming.complete) this.#forget();
  }

  /** The request of now may go on as long as it moves, until the function is called that this gives. */
  lengthen(): () => void {
    const incoming = this.#incoming;
    this.#long = incoming;
    return () => {
      // In one connection the next may have begun.
      if (this.#long === incoming) this.#long = undefined;
    };
  }

  /** Whether its body takes too long, so that it is to be cut off. */
  look(socket: Socket): boolean {
    if (this.#cutting) return true;
    const incoming = this.#incoming;
    if (incoming === undefined || incoming.complete) {
      this.#forget();
      return false;
    }
    if (incoming !== this.#seen || (incoming === this.#long && this.#moves(incoming, socket))) {
      this.#seen = incoming;
      this.#looks = 0;
      this.#bytes = socket.bytesRead;
      return false;
    }
    this.#looks += 1;
    return this.#looks >= LOOKS;
  }

  /** After a look that found it too long: tells its sender, if it still can. */
  end(socket: Socket): void {
    // Told a look ago, and still there.
    if (this.#cutting) {
      socket.destroy();
      return;
    }
    // It may have come in whole meanwhile, have been answered, and the next one have begun.
    if (this.#seen === undefined || this.#incoming !== this.#seen || this.#seen.complete) return;
    this.#cutting = true;
    if (this.#outgoing?.headersSent === false && socket.writable) socket.write(TIMED_OUT);
    socket.destroySoon();
  }

  #forget(): void {
    this.#incoming = undefined;
    this.#outgoing = undefined;
    this.#seen = undefined;
  }

  /** What waits to be read is ours: it is our disk that is slow. */
  #moves({ readableLength }: IncomingMessage, { bytesRead }: Socket): boolean {
    return readableLength > 0 || bytesRead - this.#bytes >= LEAST_BYTES;
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
    this.#transfers.set(socket, new Transfer(socket));
    socket.once('close', () => this.#transfers.delete(socket));
  }

  of(socket: Socket): Transfer | undefined {
    return this.#transfers.get(socket);
  }

  /** Looks every two seconds, until `stop`. */
  start(): void {
    this.#cancel = this.#clock.setTimer(CHECK_MS, () => {
      this.#endAll([...this.#transfers].filter(([socket, transfer]) => transfer.look(socket)));
    });
  }

  stop(): void {
    this.#cancel();
  }

  /**
   * Those from `from` on, the rest in the turns after this one. The next look comes two seconds after the last of them:
   * one in between would find them as they were left, tell them a second time, or break off who was just told.
   */
  #endAll(late: readonly (readonly [Socket, Transfer])[], from = 0): void {
    const to = Math.min(from + CUT_AT_ONCE, late.length);
    for (const [socket, transfer] of late.slice(from, to)) transfer.end(socket);
    if (to === late.length) {
      this.start();
      return;
    }
    const next = setImmediate(() => this.#endAll(late, to));
    this.#cancel = () => clearImmediate(next);
  }
}
