import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';

export type EngineHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Speaks the engine's HTTP on a socket of its own, for what a real engine does not do on demand. */
export interface FakeEngine {
  readonly endpoint: EngineEndpoint;
  /** `METHOD /path` of each call, without the query. */
  readonly calls: string[];
  close(): Promise<void>;
}

/** `handlers` by `METHOD /path`, the path without its version; `*` in a path stands for anything. What is exact comes first; others answer 500. */
export async function fakeEngine(handlers: Readonly<Record<string, EngineHandler>>): Promise<FakeEngine> {
  const dir = await mkdtemp(join(tmpdir(), 'tpt-fake-'));
  // Others may look in: who may use the socket is the socket's own affair.
  await chmod(dir, 0o755);
  const path = join(dir, 's');
  const calls: string[] = [];
  const server = createServer((request, response) => {
    const [target = ''] = (request.url ?? '').split('?');
    const call = `${request.method} ${target}`;
    calls.push(call);
    const plain = call.replace(/ \/v[\d.]+\//, ' /');
    const wildcard = Object.entries(handlers).find(([pattern]) => matches(pattern, plain))?.[1];
    const handler = handlers[plain] ?? DEFAULTS[plain] ?? wildcard;
    (handler ?? answer(500, { message: `no handler for ${plain}` }))(request, response);
  });
  server.listen(path);
  await once(server, 'listening');
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await rm(dir, { recursive: true });
  };
  return { endpoint: { kind: 'unix', path }, calls, close };
}

export function answer(status: number, body?: unknown): EngineHandler {
  return (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  };
}

/** Takes the call and never answers. */
export const silence: EngineHandler = () => {};

export function container(state: object, more: object = {}): object {
  const never = '0001-01-01T00:00:00Z';
  return {
    Id: 'c0ffee',
    Image: 'sha256:aa',
    Path: 'sh',
    Config: {
      Image: 'sha256:aa',
      Labels: { 'dev.tappet.instance': 'tpt' },
      Env: ['PATH=/bin'],
      WorkingDir: '',
    },
    HostConfig: { Init: false },
    State: {
      Status: 'exited',
      Running: false,
      ExitCode: 0,
      OOMKilled: false,
      Error: '',
      StartedAt: never,
      FinishedAt: never,
      ...state,
    },
    ...more,
  };
}

const DEFAULTS: Readonly<Record<string, EngineHandler>> = {
  'GET /version': answer(200, { Version: '20.10.24', ApiVersion: '1.41', MinAPIVersion: '1.12' }),
  'GET /info': answer(200, { NCPU: 2, MemTotal: 1e9, InitBinary: 'docker-init', InitCommit: { ID: 'x' } }),
};

function matches(pattern: string, call: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(call);
}
