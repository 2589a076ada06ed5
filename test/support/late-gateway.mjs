// The same gateway, but for calls that ask to be answered later than they would be: whoever measures it must see that.
// After everything else is done with the call, so that nothing that the gateway does against telling hides it.
import { ServerResponse } from 'node:http';
import { serveWrapped } from './wrapped-gateway.mjs';

const lateMs = Number(process.env['LATE_MS']);
const writeHead = Reflect.get(ServerResponse.prototype, 'writeHead');

ServerResponse.prototype.writeHead = function (...args) {
  if (this.req.headers['x-late'] === '1') busy(lateMs);
  return writeHead.apply(this, args);
};

function busy(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

await serveWrapped({});
