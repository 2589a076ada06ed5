// A server that tells by its answers' time what the gateway must not: how much of a signature is right, and whether there
// is such a trigger. Answers after a fixed pause as the gateway does, but one that begins when the check is over.
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';

const PAUSE_MS = 10;
/** What a byte costs that is compared. A byte of a real comparison costs a nanosecond: this is a slow program's. */
const BYTE_MS = 0.012;
/** What a trigger costs that is there: somebody reads its settings first. */
const LOOK_UP_MS = 1;
const secret = process.env['LOAD_SECRET'] ?? '';

function busy(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

function rightFor(given, body) {
  busy(LOOK_UP_MS);
  const expected = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
  for (let i = 0; i < expected.length; i++) {
    if (given[i] !== expected[i]) return false;
    busy(BYTE_MS);
  }
  return true;
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const given = request.headers['x-hub-signature-256'];
    const ok = request.url === '/hooks/in' && rightFor(String(given), Buffer.concat(chunks));
    const answer = () => response.writeHead(ok ? 202 : 401, { 'content-length': 2 }).end('{}');
    // A timer counts from the beginning of its turn of the event loop, which would hide the check.
    setImmediate(() => setImmediate(() => setTimeout(answer, PAUSE_MS)));
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listens on http://127.0.0.1:${server.address().port}`));
process.once('SIGTERM', () => process.exit(0));
