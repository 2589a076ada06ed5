import { askVersion, parseDockerHost } from './find-engine.ts';
import type { EngineEndpoint, FindEngineParams } from './find-engine.ts';

/** Long enough for one that is busy. */
const TIMEOUT_MS = 10_000;

/**
 * Where nobody takes the connection. Any other failure (no permission, a certificate, a connection that breaks off, one
 * on which nothing is said) may be all that shows of an engine that runs containers.
 */
const NOBODY: ReadonlySet<string> = new Set([
  'ENOENT',
  'ENOTDIR',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ETIMEDOUT',
  'TIMEOUT',
]);

/** Whether nobody answers at the place that an engine's name in the store tells, and what was found, in plain words. */
export async function whyGone(
  engine: string,
  env: FindEngineParams['env'],
  timeoutMs = TIMEOUT_MS,
): Promise<{ readonly gone: boolean; readonly why: string }> {
  const endpoint = endpointOf(engine, env);
  if (typeof endpoint === 'string') return { gone: false, why: endpoint };
  const answer = await askVersion(endpoint, timeoutMs);
  if (answer.ok) return { gone: false, why: 'something answers there' };
  if (answer.connected) return { gone: false, why: `something takes the connection there (${answer.why})` };
  return { gone: NOBODY.has(answer.code), why: answer.why };
}

function endpointOf(engine: string, env: FindEngineParams['env']): EngineEndpoint | string {
  if (engine.startsWith('/')) return { kind: 'unix', path: engine };
  return parseDockerHost(withBrackets(engine), env);
}

const TCP = 'tcp://';

/** The name has an IPv6 address without its brackets. */
function withBrackets(engine: string): string {
  const end = engine.lastIndexOf(':');
  const host = engine.slice(TCP.length, end);
  if (!engine.startsWith(TCP) || !host.includes(':') || host.startsWith('[')) return engine;
  return `${TCP}[${host}]${engine.slice(end)}`;
}
