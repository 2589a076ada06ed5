// A relay between the gateway and the engine's socket that notes when the calls that every start needs, create and
// start, come and are answered. What lies between them is the gateway's own part of a start.
import { Agent, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { interleave, median } from './lib.mjs';

const CALL = /^POST \/v[\d.]+\/containers\/(?:(create)|[^/ ]+\/(start))[? ]/;

/** Epoch ms with fractions. */
export const now = () => performance.timeOrigin + performance.now();

/** `calls` grows by `{ call: 'create' | 'start', asked, answered }` in the order of the answers. */
export async function tapEngine(engineSocket, path) {
  const calls = [];
  const open = new Set();
  const server = createServer((client) => {
    const engine = connect(engineSocket);
    let asked;
    client.on('data', (chunk) => {
      const [, create, start] = CALL.exec(chunk.subarray(0, 200).toString('latin1')) ?? [];
      if (create ?? start) asked = { call: create ?? start, asked: now() };
      engine.write(chunk);
    });
    engine.on('data', (chunk) => {
      if (asked) calls.push({ ...asked, answered: now() });
      asked = undefined;
      client.write(chunk);
    });
    for (const [from, to] of [
      [client, engine],
      [engine, client],
    ]) {
      open.add(from);
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => open.delete(from));
    }
  });
  server.listen(path);
  await once(server, 'listening');
  const close = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  return { calls, close };
}

const PINGS = 200;

/** What a call takes longer by way of the relay, on a connection of its own and on one that is there, ms: two hops. */
export async function relayCost(engineSocket, path) {
  const agents = [engineSocket, path].map(() => new Agent({ keepAlive: true }));
  const cost = async (agentOf) => {
    const ping = (socketPath, i) => async () => {
      const begun = now();
      const response = await new Promise((resolve, reject) => {
        const options = { socketPath, agent: agentOf(i), path: '/_ping' };
        request(options).on('response', resolve).on('error', reject).end();
      });
      for await (const _ of response);
      return now() - begun;
    };
    const times = await interleave(PINGS, ping(path, 0), ping(engineSocket, 1));
    return median(times.ours) - median(times.floor);
  };
  const costs = { fresh: await cost(() => false), kept: await cost((i) => agents[i]) };
  for (const agent of agents) agent.destroy();
  return costs;
}
