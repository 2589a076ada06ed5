// Bare node:http: each call is committed and answered, then its task is claimed in a second commit and ended in a third,
// as an orchestrator of containers that do nothing has to. GET tells how many are through.
import { createServer } from 'node:http';
import { openOrchestration } from './rows.mjs';

const [path, like] = process.argv.slice(2);
const { call, done } = openOrchestration(path, like);
const server = createServer((request, response) => {
  if (request.method === 'GET') {
    response.end(String(done()));
    return;
  }
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => void answer());
  const answer = async () => {
    const text = await call({ data: JSON.parse(Buffer.concat(chunks).toString()) });
    response.writeHead(202, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  };
});
server.listen(0, '127.0.0.1', () => console.log(`listens on http://127.0.0.1:${server.address().port}`));
process.once('SIGTERM', () => process.exit(0));
