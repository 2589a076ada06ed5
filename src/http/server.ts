import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { HttpBindings } from '@hono/node-server';
import { TappetError } from '../core/errors.ts';
import type { Clock } from '../core/clock.ts';
import type { App } from './app.ts';
import { problemResponse } from './problem.ts';
import { refusalTime } from './refusal-time.ts';
import { SlowBodies } from './slow-bodies.ts';
import { Turns } from './turns.ts';

/** Against senders that hold a connection by being slow; node's own default is 60 s. Of bodies: `slow-bodies.ts`. */
const HEADERS_TIMEOUT_MS = 10_000;
/**
 * How often node looks for those; with its default of 30 s the limit above would mean 40 s. It cuts off at once all that
 * it finds, in one turn of the event loop: so of a thousand that came in a second no more than half.
 */
const CHECK_INTERVAL_MS = 500;
/**
 * Longer than senders keep an idle connection (Go's programs, MinIO among them: 90 s), so that they end it. Where we did,
 * a call that was on its way at that moment would be lost: nobody sends a POST again by himself.
 */
const KEEP_ALIVE_MS = 95_000;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_HEADERS = 100;
const MAX_CONNECTIONS = 10_000;
/**
 * So many connections may wait to be accepted; the kernel may allow fewer. Where more come, it says nothing to them, and
 * they try again after 1, 3 and 7 s: with node's 511 a burst of slow senders made honest callers wait for that.
 */
const BACKLOG = 4_096;
/** How long `close` waits for answers in flight; the whole process has 5 s to end. */
const CLOSE_GRACE_MS = 3_000;
const CLOSE_POLL_MS = 25;
/** So long a connection that is kept open may still bring a call, which is answered and told that it was the last. */
const LINGER_MS = 250;
/** How long connections may go on coming before the door is closed in front of one. */
const ACCEPT_MS = 2_000;
const SHORT_TURN_MS = 300;

export interface ListenParams {
  readonly app: App;
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly clock: Clock;
}
export interface RunningServer {
  /** With the real port. */
  readonly url: string;
  readonly port: number;
  /**
   * Takes no more connections, lets what is in flight finish (3 s at most), ends followed logs. Calls on connections
   * that are open already are answered for another quarter of a second: they may be on their way. Idempotent.
   */
  readonly close: () => Promise<void>;
}

/** Serves the app. Errors: CONFLICT where the address is taken, INVALID_ARGUMENT where it is none of this machine. */
export async function listen(params: ListenParams): Promise<RunningServer> {
  const { app, host } = params;
  let closing = false;
  const bodies = new SlowBodies(params.clock);
  const listener = requestListener(app, bodies, params.clock, () => closing);
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: 0,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      // Node would answer at once, before the calls that came first. What makes a Request refuses it, in its turn.
      requireHostHeader: false,
    },
    listener,
  );
  // Node itself would answer at once: the sender is not to begin with a body that nobody has asked for.
  server.on('checkContinue', (incoming, outgoing) => {
    continueWhenRead(incoming, outgoing);
    listener(incoming, outgoing);
  });
  server.maxHeadersCount = MAX_HEADERS;
  server.maxConnections = MAX_CONNECTIONS;
  server.on('connection', (socket: Socket) => bodies.add(socket));
  server.on('close', () => bodies.stop());
  await bind(server, host, params.port);
  bodies.start();
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : params.port;
  let closed: Promise<void> | undefined;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    close: () =>
      (closed ??= close({ server, app, clock: params.clock, bodies, onLast: () => (closing = true) })),
  };
}

function requestListener(
  app: App,
  bodies: SlowBodies,
  clock: Clock,
  closing: () => boolean,
): RequestListener {
  const listener = getRequestListener(
    async (request, env) => {
      const { incoming } = env as HttpBindings;
      const transfer = bodies.of(incoming.socket);
      const remoteAddress = transfer?.remoteAddress ?? incoming.socket.remoteAddress ?? '';
      const refusal = refusalTime(incoming, clock);
      const info = { remoteAddress, incoming, ...(transfer === undefined ? {} : { transfer }) };
      const response = await app.fetch(request, info);
      if (response.status === 401) await refusal.reached();
      refusal.cancel();
      return response;
    },
    // What never became a request: a bad Host header, a path that is none.
    {
      errorHandler: () =>
        problemResponse(new TappetError('INVALID_ARGUMENT', 'This is not a valid HTTP request.')),
    },
  );
  const turns = new Turns();
  return (incoming, outgoing) => {
    const { socket } = incoming;
    turns.take(incoming, () => {
      // Behind node's own listener, which has then ended the connection with its last answer, or begun with the next one.
      outgoing.once('finish', () => turns.next(socket));
      const transfer = bodies.of(socket);
      transfer?.begin(incoming, outgoing);
      app.smallBodies.whenThere(incoming, () => {
        if (closing()) outgoing.setHeader('connection', 'close');
        // Settles after the answer; whatever goes wrong has become one.
        void Promise.resolve(listener(incoming, outgoing)).then(() => {
          transfer?.answered(incoming);
          app.smallBodies.forget(incoming);
        });
      });
    });
  };
}

/** Says `100 Continue` with the first look at the body, unless the answer was given before. */
function continueWhenRead(incoming: IncomingMessage, outgoing: ServerResponse): void {
  incoming.once('resume', () => {
    if (!outgoing.headersSent) outgoing.writeContinue();
  });
}

function bind(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(bindError(error, host, port)));
    server.listen({ port, host, backlog: BACKLOG }, resolve);
  });
}

function bindError(error: NodeJS.ErrnoException, host: string, port: number): TappetError {
  if (error.code === 'EADDRINUSE') {
    return new TappetError(
      'CONFLICT',
      `${host}:${port} is in use already. Stop what listens there, or choose another port with --port or server.port.`,
      { path: 'server.port' },
      error,
    );
  }
  const message = `Cannot listen on ${host}:${port}: ${error.message}. Choose another address with --host or server.host.`;
  return new TappetError('INVALID_ARGUMENT', message, { path: 'server.host' }, error);
}

interface Closing {
  readonly server: Server;
  readonly app: App;
  readonly clock: Clock;
  /** Every connection there is. */
  readonly bodies: Pick<SlowBodies, 'sockets'>;
  /** From now on each answer is the last of its connection. */
  readonly onLast: () => void;
}

/**
 * open → no new connection waits → listener closed → lingering (each answer is the last of its connection) → idle
 * connections closed, as they become idle → closed. Nothing that a caller has sent meets a closed door: neither in a
 * connection that waits to be accepted, nor in one that is kept open.
 */
async function close({ server, app, clock, bodies, onLast }: Closing): Promise<void> {
  const end = clock.now() + CLOSE_GRACE_MS;
  app.close();
  await allAccepted(server, clock);
  onLast();
  await new Promise<void>((resolve) => {
    let cancelTick: () => void = () => undefined;
    const cancelForce = clock.setTimer(Math.max(0, end - clock.now()), () => server.closeAllConnections());
    // Not http's own `close`, which first breaks every idle connection, with the calls that are on their way in them.
    NetServer.prototype.close.call(server, () => {
      cancelTick();
      cancelForce();
      // The listener is closed; this ends http's own timer.
      server.close();
      resolve();
    });
    // A connection that becomes idle after its last answer would else be kept open for its keep-alive time. After what
    // has come in was read: a call that waits behind a slow one is no idle connection.
    const tick = (): void => {
      setImmediate(() => {
        server.closeIdleConnections();
        // Node counts as busy who has not said a word yet.
        for (const socket of bodies.sockets) if (socket.bytesRead === 0) socket.destroy();
      });
      cancelTick = clock.setTimer(CLOSE_POLL_MS, tick);
    };
    cancelTick = clock.setTimer(LINGER_MS, tick);
  });
}

/**
 * Resolves after a turn of the event loop that found no new connection: each turn accepts one, and closing the listener
 * resets all that wait. A short turn, if one comes soon: in a long one another may have come since. Where they never
 * cease, after `ACCEPT_MS`.
 */
function allAccepted(server: Server, clock: Clock): Promise<void> {
  const began = clock.now();
  let before = began;
  // The turn that this is called in is half over.
  let found = true;
  const seen = (): void => void (found = true);
  server.on('connection', seen);
  return new Promise((resolve) => {
    const turn = (): void => {
      const now = clock.now();
      const quiet = !found && now === before;
      if (!quiet && now - began < (found ? ACCEPT_MS : SHORT_TURN_MS)) {
        found = false;
        before = now;
        setImmediate(turn);
        return;
      }
      server.off('connection', seen);
      resolve();
    };
    setImmediate(turn);
  });
}
