import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { HttpBindings } from '@hono/node-server';
import { TappetError } from '../core/errors.ts';
import type { Clock } from '../core/clock.ts';
import type { App } from './app.ts';
import { problemResponse } from './problem.ts';

/** Against senders that hold a connection by being slow; node's own defaults are 60 s and 300 s. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** How often node looks for those; with its default of 30 s the limits above would mean 40 s and 60 s. */
const CHECK_INTERVAL_MS = 2_000;
const KEEP_ALIVE_MS = 5_000;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_HEADERS = 100;
const MAX_CONNECTIONS = 10_000;
/** How long `close` waits for answers in flight; the whole process has 5 s to end. */
const CLOSE_GRACE_MS = 3_000;
const CLOSE_POLL_MS = 25;

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
  /** Takes no more connections, lets what is in flight finish (3 s at most), ends followed logs. Idempotent. */
  readonly close: () => Promise<void>;
}

/** Serves the app. Errors: CONFLICT where the address is taken, INVALID_ARGUMENT where it is none of this machine. */
export async function listen(params: ListenParams): Promise<RunningServer> {
  const { app, host } = params;
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    requestListener(app),
  );
  server.maxHeadersCount = MAX_HEADERS;
  server.maxConnections = MAX_CONNECTIONS;
  await bind(server, host, params.port);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : params.port;
  let closed: Promise<void> | undefined;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    close: () => (closed ??= close(server, app, params.clock)),
  };
}

function requestListener(app: App): RequestListener {
  const listener = getRequestListener(
    (request, env) => {
      const { incoming } = env as HttpBindings;
      return app.fetch(request, { remoteAddress: incoming.socket.remoteAddress ?? '' });
    },
    // What never became a request: a bad Host header, a path that is none.
    {
      errorHandler: () =>
        problemResponse(new TappetError('INVALID_ARGUMENT', 'This is not a valid HTTP request.')),
    },
  );
  // Settles after the answer; whatever goes wrong has become one.
  return (incoming, outgoing) => void listener(incoming, outgoing);
}

function bind(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(bindError(error, host, port)));
    server.listen(port, host, resolve);
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

function close(server: Server, app: App, clock: Clock): Promise<void> {
  app.close();
  return new Promise((resolve) => {
    let cancelTick: () => void = () => undefined;
    const cancelForce = clock.setTimer(CLOSE_GRACE_MS, () => server.closeAllConnections());
    server.close(() => {
      cancelTick();
      cancelForce();
      resolve();
    });
    // A connection that becomes idle after its last answer would else be kept open for its keep-alive time.
    const tick = (): void => {
      server.closeIdleConnections();
      cancelTick = clock.setTimer(CLOSE_POLL_MS, tick);
    };
    tick();
  });
}
