import { connect } from 'node:net';
import type { EngineEndpoint } from './find-engine.ts';

/** What says that nobody listens there; anything else (a full queue, a slow network) says nothing. */
const NOBODY = new Set(['ENOENT', 'ECONNREFUSED']);
const SILENT_MS = 2_000;

/**
 * The error of a new connection where nobody listens any more, else undefined. An engine that ends takes its socket away
 * first, then stops its containers, and answers on the connections that are still open until the last has gone.
 */
export function nobodyListens(endpoint: EngineEndpoint): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const socket = connect(
      endpoint.kind === 'unix' ? { path: endpoint.path } : { host: endpoint.host, port: endpoint.port },
    );
    const end = (error?: Error): void => {
      socket.destroy();
      resolve(error);
    };
    socket.setTimeout(SILENT_MS, () => end());
    socket.once('connect', () => end());
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end(NOBODY.has(error.code ?? '') ? error : undefined),
    );
  });
}
