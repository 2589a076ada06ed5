import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

// This file imports nothing but Node's own modules: the set-up scripts use it before anything is installed.

/** Where an engine listens. `tlsDir` holds `ca.pem`, `cert.pem` and `key.pem`; null = plain HTTP. */
export type EngineEndpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tlsDir: string | null };

/** One place that was looked at, and why it is not (or is) the engine, in plain words. */
export interface Tried {
  readonly place: string;
  readonly why: string;
}

export type FoundEngine =
  | {
      readonly found: true;
      readonly endpoint: EngineEndpoint;
      readonly kind: 'docker' | 'podman';
      readonly version: string;
      /** The newest API version that the engine offers. */
      readonly apiVersion: string;
      readonly tried: readonly Tried[];
    }
  | { readonly found: false; readonly tried: readonly Tried[] };

export interface FindEngineParams {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Docker's socket, if `DOCKER_HOST` is not set; Podman's after it. */
  readonly dockerSocket?: string;
  readonly podmanSocket?: string;
  /** How long one place may take to answer. */
  readonly timeoutMs?: number;
  /** Why this place may not be taken, whatever answers there; null = it may. */
  readonly refuse?: (endpoint: EngineEndpoint) => string | null;
}

/** The oldest engine API that the runner speaks: Docker 19.03. */
export const OLDEST_API = '1.40';

type Answer =
  | { readonly ok: true; readonly body: string }
  /**
   * `code` is the system's or Node's; TIMEOUT, TLS_FILE, or '' where there is none. `connected`: somebody took the
   * connection, whatever became of it then.
   */
  | { readonly ok: false; readonly why: string; readonly code: string; readonly connected: boolean };

/**
 * Looks for an engine: `DOCKER_HOST` alone where it is set (another engine than the named one would be a surprise),
 * else Docker's default socket, the rootless one, then Podman's. Never throws: what is wrong stands in `tried`.
 */
export async function findEngine(params: FindEngineParams): Promise<FoundEngine> {
  const tried: Tried[] = [];
  for (const candidate of candidates(params)) {
    if ('why' in candidate) {
      tried.push(candidate);
      continue;
    }
    const refused = params.refuse?.(candidate.endpoint) ?? null;
    if (refused !== null) {
      tried.push({ place: candidate.place, why: refused });
      continue;
    }
    const found = await probe(candidate.endpoint, candidate.place, params.timeoutMs ?? 2000);
    tried.push({ place: candidate.place, why: found.why });
    if (found.engine !== null) return { found: true, endpoint: candidate.endpoint, ...found.engine, tried };
  }
  return { found: false, tried };
}

/** `/var/run/docker.sock` or `tcp://host:port`: for messages. */
export function describeEndpoint(endpoint: EngineEndpoint): string {
  return endpoint.kind === 'unix' ? endpoint.path : `tcp://${endpoint.host}:${endpoint.port}`;
}

/**
 * Reads a `DOCKER_HOST` value (`unix://…`, `tcp://…`); a string is the reason why it cannot be used.
 * TLS as Docker's own client does it: on if `DOCKER_TLS_VERIFY` is set, files from `DOCKER_CERT_PATH`.
 */
export function parseDockerHost(value: string, env: FindEngineParams['env']): EngineEndpoint | string {
  if (value.startsWith('unix://')) {
    const path = value.slice('unix://'.length);
    return path.startsWith('/')
      ? { kind: 'unix', path }
      : 'unix:// needs an absolute path, as in unix:///var/run/docker.sock';
  }
  if (value.startsWith('ssh://')) {
    return 'ssh:// is not supported; forward the socket (ssh -L /tmp/engine.sock:/var/run/docker.sock HOST) and use unix:///tmp/engine.sock';
  }
  if (!value.startsWith('tcp://') || !URL.canParse(value)) {
    return 'it must look like unix:///var/run/docker.sock or tcp://HOST:PORT';
  }
  const url = new URL(value);
  const tls = (env['DOCKER_TLS_VERIFY'] ?? '') !== '';
  const tlsDir = tls ? (env['DOCKER_CERT_PATH'] ?? join(env['HOME'] ?? homedir(), '.docker')) : null;
  // `hostname` keeps the brackets of an IPv6 address; node:http wants them off.
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { kind: 'tcp', host, port: url.port === '' ? (tls ? 2376 : 2375) : Number(url.port), tlsDir };
}

/** The TLS files of a TCP endpoint. Errors: what `fs` throws, naming the file. */
export function readTls(dir: string): { ca: Buffer; cert: Buffer; key: Buffer } {
  return {
    ca: readFileSync(join(dir, 'ca.pem')),
    cert: readFileSync(join(dir, 'cert.pem')),
    key: readFileSync(join(dir, 'key.pem')),
  };
}

function candidates(params: FindEngineParams): (Tried | { place: string; endpoint: EngineEndpoint })[] {
  const { env } = params;
  const host = env['DOCKER_HOST'] ?? '';
  if (host !== '') {
    const place = `DOCKER_HOST=${host}`;
    const endpoint = parseDockerHost(host, env);
    return [typeof endpoint === 'string' ? { place, why: endpoint } : { place, endpoint }];
  }
  const runtimeDir = env['XDG_RUNTIME_DIR'] ?? '';
  const paths = [params.dockerSocket ?? '/var/run/docker.sock'];
  if (runtimeDir !== '') paths.push(join(runtimeDir, 'docker.sock'));
  paths.push(params.podmanSocket ?? '/run/podman/podman.sock');
  if (runtimeDir !== '') paths.push(join(runtimeDir, 'podman', 'podman.sock'));
  return paths.map((path) => ({ place: path, endpoint: { kind: 'unix', path } }));
}

interface Probed {
  readonly why: string;
  readonly engine: { kind: 'docker' | 'podman'; version: string; apiVersion: string } | null;
}

async function probe(endpoint: EngineEndpoint, place: string, timeoutMs: number): Promise<Probed> {
  const answer = await askVersion(endpoint, timeoutMs);
  if (!answer.ok) return { why: answer.why, engine: null };
  const engine = readVersion(answer.body);
  if (engine === null)
    return { why: 'something answers there, but it is not a container engine', engine: null };
  if (compareApi(engine.apiVersion, OLDEST_API) < 0) {
    const why = `the engine is too old: it speaks API ${engine.apiVersion}, ${OLDEST_API} (Docker 19.03) is needed`;
    return { why, engine: null };
  }
  const name = engine.kind === 'podman' ? 'Podman' : 'Docker';
  return { why: `${name} ${engine.version} answers at ${place}`, engine };
}

/** Compares `1.41` with `1.9` as versions: negative, 0 or positive. */
export function compareApi(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split('.').map(Number);
  const [bMajor = 0, bMinor = 0] = b.split('.').map(Number);
  return aMajor === bMajor ? aMinor - bMinor : aMajor - bMajor;
}

function readVersion(body: string): Probed['engine'] {
  const parsed = parseJson(body);
  const version = textOf(parsed, 'Version');
  const apiVersion = textOf(parsed, 'ApiVersion');
  if (version === null || apiVersion === null || !/^\d+\.\d+$/.test(apiVersion)) return null;
  const kind = /"podman engine"/i.test(body) ? 'podman' : 'docker';
  return { kind, version, apiVersion };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function textOf(value: unknown, key: string): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const field: unknown = Reflect.get(value, key);
  return typeof field === 'string' ? field : null;
}

/** No answer of an engine to `/version` comes near this; what listens there may be anything. */
const MAX_ANSWER_BYTES = 256 * 1024;

/** What is at that place says to `/version`. Never rejects. */
export function askVersion(endpoint: EngineEndpoint, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    let connected = false;
    const fail = (error: unknown) =>
      resolve({ ok: false, why: explain(error, timeoutMs), code: failureCode(error), connected });
    const options = { path: '/version', agent: false, signal: AbortSignal.timeout(timeoutMs) } as const;
    try {
      const asked =
        endpoint.kind === 'unix'
          ? httpRequest({ ...options, socketPath: endpoint.path })
          : endpoint.tlsDir === null
            ? httpRequest({ ...options, host: endpoint.host, port: endpoint.port })
            : httpsRequest({
                ...options,
                host: endpoint.host,
                port: endpoint.port,
                ...readTls(endpoint.tlsDir),
              });
      asked.on('error', fail);
      // Also with TLS the bare connection: one that is too busy for the handshake is there.
      asked.on('socket', (socket) => socket.once('connect', () => (connected = true)));
      asked.on('response', (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('error', fail);
        response.on('data', (text: string) => {
          body += text;
          if (body.length > MAX_ANSWER_BYTES) response.destroy(new Error('the answer is too long'));
        });
        response.on('end', () => resolve({ ok: true, body }));
      });
      asked.end();
    } catch (error) {
      fail(error);
    }
  });
}

const CAUSES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket: no engine has been started there',
  ECONNREFUSED: 'nothing listens there: the engine is not running (sudo systemctl start docker)',
  EACCES:
    'permission denied: add your user to the docker group (sudo usermod -aG docker "$USER") and log in again, or run as root',
  ENOTFOUND: 'the host name is not known',
  ENOTSOCK: 'this is a file, not a socket',
};

function failureCode(error: unknown): string {
  const name = textOf(error, 'name');
  if (name === 'AbortError' || name === 'TimeoutError') return 'TIMEOUT';
  const code = textOf(error, 'code') ?? '';
  return code === 'ENOENT' && textOf(error, 'syscall') === 'open' ? 'TLS_FILE' : code;
}

function explain(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error);
  const code = failureCode(error);
  if (code === 'TIMEOUT') return `no answer within ${timeoutMs / 1000} s`;
  if (code === 'TLS_FILE') return `a TLS file is missing: ${error.message}`;
  return CAUSES[code] ?? error.message;
}
