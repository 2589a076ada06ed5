// A gateway that ends itself with SIGKILL before or after the n-th call of one method of one port.
// CRASH=<port>.<method>:<before|after>:<n>, CRASH_RECORD=<file that then holds the place>.
// The product has no hook for this: the ports are wrapped from outside.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startGateway } from '../../dist/src/main.js';

const place = process.env.CRASH ?? '';
const [target = '', side = '', count = '1'] = place.split(':');
const [port, method] = target.split('.');
let calls = 0;

function die() {
  writeFileSync(process.env.CRASH_RECORD, place);
  process.kill(process.pid, 'SIGKILL');
}

/** The same object, one method of which ends the process. Private fields need the object itself as `this`. */
function killing(name, object) {
  if (name !== port) return object;
  return new Proxy(object, {
    get(inner, key) {
      const value = inner[key];
      if (typeof value !== 'function') return value;
      if (key !== method) return value.bind(inner);
      return (...args) => {
        calls += 1;
        if (calls !== Number(count)) return value.apply(inner, args);
        if (side === 'before') die();
        const result = value.apply(inner, args);
        return Promise.resolve(result).then((settled) => {
          die();
          return settled;
        });
      };
    },
  });
}

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
  wrap: { store: (store) => killing('store', store), runner: (runner) => killing('runner', runner) },
});
process.once('SIGTERM', () => void gateway.stop().then(() => process.exit(0)));
