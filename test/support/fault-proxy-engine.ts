import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as send } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/**
 * What happens to one call on its way to a real engine.
 *
 * | kind    | the engine                   | the caller gets                                                    |
 * |---------|------------------------------|--------------------------------------------------------------------|
 * | pass    | hears it                     | its answer                                                         |
 * | say     | hears it only if `engine`    | this answer; `never ends`: and no end of it                        |
 * | hang    | hears it only if `engine`    | nothing                                                            |
 * | break   | hears it                     | the head and `bytes` of the body, or not even a head where there   |
 * |         |                              | are none, then the connection breaks                               |
 * | end     | hears it                     | `bytes` of the body and a proper end, as if that were all          |
 * | stall   | hears it                     | `bytes` of the body, then nothing more                             |
 * | slow    | hears it `ms` later, also    | its answer                                                         |
 * |         | where nobody waits any more  |                                                                    |
 * | half    | hears it                     | the first half of the body with a proper end                       |
 * | header  | hears it                     | its answer with so many bytes of headers                           |
 */
export type EngineFault =
  | { readonly kind: 'pass' }
  | {
      readonly kind: 'say';
      readonly status: number;
      readonly body: string;
      readonly engine?: boolean;
      readonly neverEnds?: boolean;
    }
  | { readonly kind: 'hang'; readonly engine: boolean }
  | { readonly kind: 'break'; readonly bytes: number | null }
  | { readonly kind: 'end' | 'stall'; readonly bytes: number }
  | { readonly kind: 'slow'; readonly ms: number }
  | { readonly kind: 'half' }
  | { readonly kind: 'header'; readonly bytes: number };

export interface EngineCall {
  /** `POST /containers/NAME/start`: without the version and the query. */
  readonly call: string;
  readonly query: URLSearchParams;
}

export interface EngineFaultProxy {
  /** Its own socket, for DOCKER_HOST. */
  readonly path: string;
  /** Each call that ever came, as `EngineCall` has it. */
  readonly calls: ReadonlySet<string>;
  /** Asked for every call, and waited for; `pass` until it is set. */
  fault: (call: EngineCall) => EngineFault | Promise<EngineFault>;
  /** Breaks the answers of these calls that are under way. */
  cut(calls: RegExp): void;
  close(): Promise<void>;
}

const PASS: EngineFault = { kind: 'pass' };

/** Stands on a socket of its own in front of the engine's, and knows nothing of what it carries. */
export async function engineFaultProxy(engineSocket: string): Promise<EngineFaultProxy> {
  const dir = await mkdtemp('/tmp/tptf-');
  const path = join(dir, 's');
  const sockets = new Set<Socket>();
  const open = new Map<ServerResponse, string>();
  const came = new Set<string>();
  const server = createServer({ requestTimeout: 0, headersTimeout: 0 }, (request, response) => {
    const url = new URL(request.url ?? '/', 'http://engine');
    const call = `${request.method} ${url.pathname.replace(/^\/v[\d.]+(?=\/)/, '')}`;
    open.set(response, call);
    came.add(call);
    response.once('close', () => open.delete(response));
    const decided = Promise.resolve(proxy.fault({ call, query: url.searchParams }));
    decided
      .then((fault) => apply(fault, engineSocket, request, response))
      .catch(() => request.socket.destroy());
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(path);
  await once(server, 'listening');
  const proxy: EngineFaultProxy = {
    path,
    calls: came,
    fault: () => PASS,
    cut: (calls) => {
      for (const [response, call] of open) if (calls.test(call)) response.destroy();
    },
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return proxy;
}

async function apply(
  fault: EngineFault,
  engineSocket: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (fault.kind === 'slow') {
    // What the caller has given up goes to the engine all the same.
    const body = await whole(request);
    await setTimeout(fault.ms);
    return pipe(await ask(engineSocket, request, body), response);
  }
  if (fault.kind === 'say' || fault.kind === 'hang') {
    const body = await whole(request);
    if (fault.engine === true) await whole(await ask(engineSocket, request, body));
    if (fault.kind === 'hang') return;
    response.writeHead(fault.status, { 'content-type': 'application/json' }).write(fault.body);
    if (fault.neverEnds !== true) response.end();
    return;
  }
  const answer = await ask(engineSocket, request, request, response);
  if (fault.kind === 'pass') return pipe(answer, response);
  if (fault.kind === 'break' && fault.bytes === null) {
    await whole(answer);
    return void request.socket.destroy();
  }
  if (fault.kind === 'header') {
    answer.headers['x-filler'] = 'x'.repeat(fault.bytes);
    return pipe(answer, response);
  }
  if (fault.kind === 'half') {
    const body = await whole(answer);
    const { 'content-length': _, 'transfer-encoding': __, ...headers } = answer.headers;
    response.writeHead(answer.statusCode ?? 500, headers);
    response.end(body.subarray(0, Math.floor(body.length / 2)));
    return;
  }
  await first(answer, response, fault.bytes ?? 0);
  if (fault.kind === 'end') response.end();
  if (fault.kind === 'break') request.socket.destroy();
}

/** One call to the engine; `body` as it comes or whole. Where the caller hangs up before `until`'s end, so do we. */
async function ask(
  socketPath: string,
  { method, url, headers }: IncomingMessage,
  body: IncomingMessage | Buffer,
  until?: ServerResponse,
): Promise<IncomingMessage> {
  const target = { socketPath, method, path: url, headers: { ...headers, connection: 'close' } };
  const onward = send({ ...target, agent: false });
  until?.once('close', () => onward.destroy());
  if (Buffer.isBuffer(body)) onward.end(body);
  else body.pipe(onward);
  return new Promise((resolve, reject) => {
    onward.once('response', resolve);
    onward.on('error', reject);
  });
}

function pipe(answer: IncomingMessage, response: ServerResponse): void {
  const { connection: _, ...headers } = answer.headers;
  response.writeHead(answer.statusCode ?? 500, headers);
  // A stream of the engine begins long before its first byte.
  response.flushHeaders();
  answer.on('error', () => response.destroy());
  answer.pipe(response);
}

/** Hands on the head and the first `bytes` of the body; resolves also where there are fewer. */
async function first(answer: IncomingMessage, response: ServerResponse, bytes: number): Promise<void> {
  const { connection: _, 'content-length': __, ...headers } = answer.headers;
  response.writeHead(answer.statusCode ?? 500, headers);
  response.flushHeaders();
  let left = bytes;
  try {
    for await (const chunk of answer.iterator({ destroyOnReturn: false })) {
      const part = Buffer.from(chunk as Uint8Array).subarray(0, left);
      left -= part.length;
      await new Promise<void>((resolve) => response.write(part, () => resolve()));
      if (left <= 0) break;
    }
  } catch {
    // The engine broke off itself.
  }
  // The engine must not wait for a reader: as a network does, what comes later is taken and lost.
  answer.resume();
}

async function whole(stream: IncomingMessage): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}
