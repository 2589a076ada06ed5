// From sending a call to the container's process running, against the same create and start done bare with
// dockerode: the floor takes its create body from a container that the gateway made, so the two cannot drift apart.
// Both moments of start are the engine's own, from its stream of events: nobody polls while a container starts.
// Our own part is what a start takes beside the engine's create and start: until create is asked for, and from its
// answer until start is. The difference of the two totals says the same, with the engine's moods in it: ±12 ms. It
// counts from the answer that says that the event is accepted; a second figure, from the sending of the call, has the
// sender's and the network's part in it, the check and the two writes of the event, and no goal.
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import Docker from 'dockerode';
import { now, relayCost, tapEngine } from './engine-tap.mjs';
import { interleave, median, scratch, startGateway } from './lib.mjs';

const ROUNDS = 40;
const IMAGE = 'tappet-demo/busybox:1';
const FLOOR = 'bench.floor';

export async function benchStart() {
  const { dir, remove } = scratch();
  const engineSocket = new URL(process.env.DOCKER_HOST).pathname;
  const docker = new Docker({ socketPath: engineSocket });
  const tap = await tapEngine(engineSocket, join(dir, 'engine.sock'));
  const job = { image: IMAGE, command: ['/bin/sleep', '0.5'], maxRetries: 0, timeout: '1m' };
  const triggers = { go: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'nap' } } };
  const gateway = await startGateway(
    dir,
    { jobs: { nap: job }, triggers },
    { DOCKER_HOST: `unix://${join(dir, 'engine.sock')}` },
  );
  const events = await watch(docker);
  let body;
  const ownParts = [];
  const fromSending = [];
  const ours = async () => {
    tap.calls.length = 0;
    const sent = now();
    const { accepted, answer } = await post(`${gateway.url}/hooks/go`);
    const [execution] = answer.executions;
    const started = await events.next('start', 'dev.tappet.execution', execution);
    body ??= createBody(await docker.getContainer(started.id).inspect());
    await events.next('destroy', 'dev.tappet.execution', execution);
    ownParts.push(ownPart(accepted, tap.calls));
    fromSending.push(ownPart(sent, tap.calls));
    return started.time - sent;
  };
  let runs = 0;
  const floor = async () => {
    const name = `run-${runs++}`;
    const sent = now();
    const container = await docker.createContainer({ ...body, Labels: { [FLOOR]: name } });
    await container.start();
    const started = await events.next('start', FLOOR, name);
    await events.next('die', FLOOR, name);
    await container.remove({ v: true, force: true });
    return started.time - sent;
  };
  const relay = await relayCost(engineSocket, join(dir, 'engine.sock'));
  const results = await interleave(ROUNDS, ours, floor);
  events.stop();
  await gateway.stop();
  tap.close();
  remove();
  const [a, b] = [median(results.ours), median(results.floor)];
  // The first is the warm-up. Not ours are the relay's hops: that of create's answer, and those of attach there and back.
  const relayed = relay.fresh + relay.kept / 2;
  const parts = ownParts.slice(1).toSorted((x, y) => x - y);
  const own = median(parts) - relayed;
  const sending = median(fromSending.slice(1)) - relayed;
  const slow = parts[Math.floor(parts.length * 0.99)] - relayed;
  return [
    { name: 'start-total', ours: a, floor: b, note: `ms, median of ${ROUNDS}` },
    {
      name: 'start-own-part-ms',
      ours: own,
      note: `from the answer; median; without the engine’s create and start, and the relay’s ${relayed.toFixed(2)} ms; from the sending ${sending.toFixed(2)}`,
    },
    { name: 'start-own-part-p99-ms', ours: slow, note: `the slowest of ${parts.length}` },
  ];
}

function ownPart(since, calls) {
  const [create, start] = ['create', 'start'].map((name) => calls.find(({ call }) => call === name));
  return Math.max(0, create.asked - since) + (start.asked - create.answered);
}

const agent = new Agent({ keepAlive: true });

/**
 * By the same client as the floor's calls of the engine: what a client costs is nobody's part. `accepted`: when the
 * answer's head was there.
 */
async function post(url) {
  const response = await new Promise((resolve, reject) => {
    request(url, { method: 'POST', agent }).on('response', resolve).on('error', reject).end();
  });
  const accepted = now();
  return { accepted, answer: await json(response) };
}

/** What asks the engine for such a container as one that `filters` find now, without its labels; undefined = there is none. */
export async function bodyOfOne(docker, filters) {
  const [found] = await docker.listContainers({ all: true, filters });
  if (found === undefined) return undefined;
  const container = docker.getContainer(found.Id);
  const inspected = await container.inspect().catch(() => undefined);
  return inspected && { ...createBody(inspected), Labels: {} };
}

function createBody({ Config, HostConfig, NetworkSettings }) {
  const EndpointsConfig = Object.fromEntries(Object.keys(NetworkSettings.Networks).map((name) => [name, {}]));
  return { ...Config, HostConfig, NetworkingConfig: { EndpointsConfig } };
}

/** The engine's events of containers, each kept until it is asked for. Times are epoch ms. */
async function watch(docker) {
  const stream = await docker.getEvents({
    filters: { type: ['container'], event: ['start', 'die', 'destroy'] },
  });
  const seen = [];
  const waiting = [];
  const match = ({ action, label, value, resolve }) => {
    const found = seen.find((event) => event.Action === action && event.Actor.Attributes[label] === value);
    if (found) resolve({ id: found.Actor.ID, time: found.timeNano / 1e6 });
    return found !== undefined;
  };
  let rest = '';
  stream.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    for (const line of lines) if (line.trim() !== '') seen.push(JSON.parse(line));
    for (const one of waiting.filter((each) => match(each))) waiting.splice(waiting.indexOf(one), 1);
  });
  const next = (action, label, value) =>
    new Promise((resolve) => {
      const one = { action, label, value, resolve };
      if (!match(one)) waiting.push(one);
    });
  return { next, stop: () => stream.destroy() };
}
