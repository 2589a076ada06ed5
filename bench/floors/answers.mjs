// Bare node:http: reads the body of a call, has it stored, and answers 202 with what that gave.
import { createServer } from 'node:http';

/** `store` resolves to the answer's text; `count` is what GET tells. */
export function serveAnswers(store, count = () => 0) {
  const server = createServer((request, response) => {
    if (request.method === 'GET') {
      response.end(String(count()));
      return;
    }
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => void answer());
    const answer = async () => {
      const text = await store({ data: JSON.parse(Buffer.concat(chunks).toString()) });
      response.writeHead(202, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      });
      response.end(text);
    };
  });
  // As ours: a caller that has many connections does not need each of them every five seconds.
  server.keepAliveTimeout = 95_000;
  server.listen(0, '127.0.0.1', () => console.log(`listens on http://127.0.0.1:${server.address().port}`));
  process.once('SIGTERM', () => process.exit(0));
}
