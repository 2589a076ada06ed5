// A gateway that ends itself with SIGKILL before or after the n-th call of one method of one port.
// CRASH=<port>.<method>:<before|after>:<n>, CRASH_RECORD=<file that then holds the place>.
// With CRASH_SIGNAL=SIGSTOP it only stands still there, once, and goes on in the middle of that call.
// The product has no hook for this: the ports are wrapped from outside.
import { writeFileSync } from 'node:fs';
import { serveWrapped } from './wrapped-gateway.mjs';

const place = process.env.CRASH ?? '';
const [target = '', side = '', count = '1'] = place.split(':');
const [port, method] = target.split('.');
let calls = 0;
/** The claim at its start goes beside the address that it prints; who starts it waits for that one. */
let armed = method !== 'claimAttempts';

function die() {
  writeFileSync(process.env.CRASH_RECORD, place);
  process.kill(process.pid, process.env.CRASH_SIGNAL ?? 'SIGKILL');
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
        if (armed) calls += 1;
        if (!armed || calls !== Number(count)) return value.apply(inner, args);
        if (side === 'before') {
          die();
          return value.apply(inner, args);
        }
        const result = value.apply(inner, args);
        return Promise.resolve(result).then((settled) => {
          die();
          return settled;
        });
      };
    },
  });
}

await serveWrapped({
  store: (store) => killing('store', store),
  runner: (runner) => killing('runner', runner),
});
armed = true;
