import { once } from 'node:events';
import { connect } from 'node:net';

/** Sends `begin`, then `drip` once a second; in how many seconds it is cut off, and what it was told. */
export async function slowly(
  port: number,
  begin: string,
  drip: string,
): Promise<{ seconds: number; answer: string }> {
  const start = performance.now();
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (data) => (answer += data.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write(begin);
  const timer = setInterval(() => socket.write(drip), 1000);
  await once(socket, 'close');
  clearInterval(timer);
  return { seconds: (performance.now() - start) / 1000, answer };
}
