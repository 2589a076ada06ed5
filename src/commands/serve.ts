import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { configPath } from './config-path.ts';
import { setting } from './connection.ts';
import { EXIT } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { ExitWith } from './io.ts';

interface ServeOptions {
  readonly config?: string;
  readonly host?: string;
  readonly port?: number;
  readonly dataDir?: string;
  readonly drain?: boolean;
}

/** Supervisors kill what has not ended some seconds after SIGTERM; running containers are not touched either way. */
const STOP_WITHIN_MS = 4_500;

export function addServe(program: Command, io: CliIo): void {
  program
    .command('serve')
    .description('run the gateway until Ctrl-C or SIGTERM; SIGHUP has the configuration read again')
    .option('-c, --config <path>', 'configuration: a file or a folder (or TAPPET_CONFIG)')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <port>', 'port to listen on, 0 for any free one', portNumber)
    .option('--data-dir <folder>', 'where the database, the logs and the token are kept (or TAPPET_DATA_DIR)')
    .option(
      '--drain',
      'at Ctrl-C or SIGTERM start no more tasks, and end when those that run have ended; the second time end at once',
    )
    .action(async ({ config, host, port, drain = false, ...options }: ServeOptions) => {
      const dataDir = options.dataDir ?? setting(io, 'TAPPET_DATA_DIR');
      const { startGateway } = await import('../main.ts');
      const gateway = await startGateway({
        configPath: await configPath(io, config),
        ...(host === undefined ? {} : { host }),
        ...(port === undefined ? {} : { port }),
        ...(dataDir === undefined ? {} : { dataDir }),
        env: io.env,
        print: (line) => io.err(line),
      });
      const forget = io.onHangUp(() => gateway.reload());
      await aborted(io.signal);
      if (drain) await drained(io, gateway);
      forget();
      await stopInTime(io, gateway);
    });
}

/** Resolves when nothing runs any more, or when somebody asks a second time. */
async function drained(io: CliIo, gateway: { drain(): Promise<void> }): Promise<void> {
  io.err(
    'Draining: no more tasks start, and the gateway ends when those that run have ended. Ctrl-C or SIGTERM again ends it now and leaves them running.',
  );
  const asked = new AbortController();
  const forget = io.onSecondInterrupt(() => asked.abort());
  await Promise.race([gateway.drain(), aborted(asked.signal)]);
  forget();
}

async function stopInTime(io: CliIo, gateway: { stop(): Promise<void> }): Promise<void> {
  const stopped = new AbortController();
  const late = io.pause(STOP_WITHIN_MS, stopped.signal).then(() => 'late' as const);
  const outcome = await Promise.race([gateway.stop().then(() => 'stopped' as const), late]);
  stopped.abort();
  if (outcome === 'stopped') return;
  io.err('The gateway did not stop in time and is ended now; what it has acknowledged is stored.');
  throw new ExitWith(EXIT.failed);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('It must be a port from 0 to 65535.');
}
