// @ts-check
// The few calls of the engine's HTTP API that the set-up needs, with node:http alone: it runs before `npm ci`.
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';

/**
 * @typedef {{ method?: string, body?: Uint8Array | object, timeoutMs?: number }} CallOptions
 * @typedef {{ status: number, headers: import('node:http').IncomingHttpHeaders, text: string }} Answer
 */

/**
 * @param {string} dockerHost `unix:///path` or `tcp://host:port`
 * @param {string} path with the API version, except for /_ping
 * @param {CallOptions} [options]
 * @returns {Promise<Answer>}
 */
export function callEngine(dockerHost, path, { method = 'GET', body, timeoutMs = 60_000 } = {}) {
  const bytes = body === undefined || body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
  const type = body instanceof Uint8Array ? 'application/x-tar' : 'application/json';
  const headers = bytes === undefined ? {} : { 'content-type': type, 'content-length': bytes.length };
  const { send, target } = connection(dockerHost);
  return new Promise((resolve, reject) => {
    const request = send(
      { ...target, method, path, headers, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        );
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(bytes);
  });
}

/** @param {string} dockerHost */
function connection(dockerHost) {
  if (dockerHost.startsWith('unix://')) {
    return { send: httpRequest, target: { socketPath: dockerHost.slice('unix://'.length) } };
  }
  const { hostname, port } = new URL(dockerHost.replace(/^tcp:/, 'http:'));
  const certs = process.env['DOCKER_CERT_PATH'];
  const secure = (process.env['DOCKER_TLS_VERIFY'] ?? '') !== '' && certs !== undefined;
  if (!secure) return { send: httpRequest, target: { host: hostname, port: port || '2375' } };
  const file = (/** @type {string} */ name) => readFileSync(join(certs, name));
  const tls = { ca: file('ca.pem'), cert: file('cert.pem'), key: file('key.pem') };
  return { send: httpsRequest, target: { host: hostname, port: port || '2376', ...tls } };
}

/**
 * The version prefix of this engine's API, or undefined where none answers.
 * @param {string} dockerHost
 * @returns {Promise<string | undefined>}
 */
export async function pingEngine(dockerHost, timeoutMs = 5_000) {
  try {
    const answer = await callEngine(dockerHost, '/_ping', { timeoutMs });
    const version = answer.headers['api-version'];
    return answer.status === 200 ? `/v${typeof version === 'string' ? version : '1.41'}` : undefined;
  } catch {
    return undefined;
  }
}
