// The gateway as `tappet serve` starts it, by the same flags, with something put around its ports.
import { parseArgs } from 'node:util';
import { startGateway } from '../../dist/src/main.js';

/** @param {Partial<Record<import('../../src/port-wrap.ts').PortName, (port: any) => any>>} wrappers */
export async function serveWrapped(wrappers) {
  const { values } = parseArgs({
    options: {
      config: { type: 'string', short: 'c' },
      'data-dir': { type: 'string' },
      port: { type: 'string' },
    },
  });
  const gateway = await startGateway({
    configPath: values.config,
    dataDir: values['data-dir'],
    port: Number(values.port),
    env: process.env,
    print: (line) => console.log(line),
    wrap: (name, port) => wrappers[name]?.(port) ?? port,
  });
  const failed = (error) => {
    console.error(`error: ${error.message}`);
    process.exit(1);
  };
  process.once('SIGTERM', () => void gateway.stop().then(() => process.exit(0), failed));
}
