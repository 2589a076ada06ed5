import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request as send } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/**
 * What the proxy does to one request. `refuse`: this status, the store never hears of it. `cut`: the connection breaks
 * after so many bytes of the answer's body. `cutRequest`: after so many bytes of the request's body; the store sees a
 * request that broke off. `hang`: no answer. `stall`: so many bytes of the answer's body, then nothing more.
 * `page`: a web page with status 200, as a web console sends. `noDate`: the answer has no Date header.
 */
export type Fault =
  | { readonly refuse: number }
  | { readonly cut: number }
  | { readonly cutRequest: number }
  | { readonly stall: number }
  | 'hang'
  | 'page'
  | 'pass';

export interface FaultProxy {
  readonly url: string;
  /** Method and path with query of each request, oldest first. */
  readonly requests: readonly string[];
  /** Asked for every request; `pass` until it is set. */
  fault: (request: { readonly method: string; readonly url: string }) => Fault;
  close(): Promise<void>;
}

/** Stands in front of a real server and does what networks do. `tls`: speaks TLS to the client (test/fixtures/tls). */
export async function startFaultProxy(target: string, { tls = false } = {}): Promise<FaultProxy> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const asked = { method: request.method ?? '', url: request.url ?? '' };
    requests.push(`${asked.method} ${asked.url}`);
    apply(proxy.fault(asked), target, request, response);
  };
  const server = tls ? createTlsServer(certificate(), handle) : createServer(handle);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const proxy: FaultProxy = {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    requests,
    fault: () => 'pass',
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return proxy;
}

function certificate(): { key: Buffer; cert: Buffer } {
  const file = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url));
  return { key: file('server.key'), cert: file('server.pem') };
}

function apply(fault: Fault, target: string, request: IncomingMessage, response: ServerResponse): void {
  if (fault === 'hang') return;
  if (fault === 'page') {
    response
      .writeHead(200, { 'content-type': 'text/html' })
      .end('<!doctype html><html><body>Console</body></html>');
    return;
  }
  if (typeof fault === 'object' && 'refuse' in fault) {
    request.resume();
    response.writeHead(fault.refuse).end();
    return;
  }
  forward(fault, target, request, response);
}

function forward(
  fault: Exclude<Fault, 'hang' | 'page' | { readonly refuse: number }>,
  target: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  // Path and Host as they came: both are signed.
  const { hostname, port } = new URL(target);
  const { method, url: path, headers } = request;
  const onward = send({ host: hostname, port, method, path, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    const bytes = typeof fault === 'string' || 'cutRequest' in fault ? undefined : Object.values(fault)[0];
    if (bytes === undefined) answer.pipe(response);
    else
      passOnly(answer, bytes ?? 0, (chunk) => response.write(chunk)).then(
        () => (typeof fault === 'object' && 'cut' in fault ? response.destroy() : answer.destroy()),
        () => response.destroy(),
      );
  });
  onward.on('error', () => response.destroy());
  response.once('close', () => onward.destroy());
  if (typeof fault !== 'object' || !('cutRequest' in fault)) {
    request.pipe(onward);
    return;
  }
  const cut = (): void => {
    onward.destroy();
    request.socket.destroy();
  };
  passOnly(request, fault.cutRequest, (chunk) => onward.write(chunk)).then(cut, cut);
}

/** Hands on the first `bytes` and resolves, also where there are fewer. */
async function passOnly(
  stream: IncomingMessage,
  bytes: number,
  pass: (chunk: Buffer) => boolean,
): Promise<void> {
  let left = bytes;
  // Not to be destroyed at the end of the loop: what happens then is the fault's own affair.
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    const part = Buffer.from(chunk as Uint8Array).subarray(0, left);
    left -= part.byteLength;
    await new Promise<void>((resolve) => {
      pass(part);
      setImmediate(resolve);
    });
    if (left <= 0) return;
  }
}
