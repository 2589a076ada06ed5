// Bare node:http: reads the body, commits the rows, answers. No verification, no matching.
import { createServer } from 'node:http';
import { openRows } from './rows.mjs';

const [path, like] = process.argv.slice(2);
const commit = openRows(path, like);
const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => void answer());
  const answer = async () => {
    const text = await commit({ data: JSON.parse(Buffer.concat(chunks).toString()) });
    response.writeHead(202, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  };
});
server.listen(0, '127.0.0.1', () => console.log(`listens on http://127.0.0.1:${server.address().port}`));
process.once('SIGTERM', () => process.exit(0));
