// How late durable webhook calls are answered that come at fixed times, 1,000 a second, whether or not those before them
// have been answered; each is timed from when it was due, so that a server that stalls is late for all that come
// meanwhile. The floor gets the same calls. Afterwards every 202 must have its event and its execution.
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Caller } from '../scripts/lib/load-caller.mjs';
import { interleave, median, scratch } from './lib.mjs';
import { BODY, checkDelivery, hmacHeaders, startBoth } from './webhook.mjs';

const ROUNDS = 4;
const SECONDS = 10;
const PER_SECOND = 1_000;
/** Before the gateway's own bound of connections. */
const MOST = 5_000;

export async function benchWebhookOpen() {
  const { dir, remove } = scratch();
  const { gateway, floor } = await startBoth(dir, 'hmac');
  let sent = 0;
  const ours = async () => {
    const result = await openLoop(gateway.url);
    sent += result.calls;
    return result;
  };
  const results = await interleave(ROUNDS, ours, () => openLoop(floor.url));
  await gateway.stop();
  await floor.stop();
  checkDelivery(join(gateway.dataDir, 'tappet.db'), sent, 0);
  remove();
  const of = (who, figure) => median(results[who].map((one) => one[figure]));
  const lag = `the generator itself sent ${of('ours', 'lagP50Ms').toFixed(2)} ms (median) and ${of('ours', 'lagP99Ms').toFixed(2)} ms (p99) late, which counts`;
  const most = `at most ${Math.max(...results.ours.map(({ connections }) => connections))} connections`;
  return [
    { name: 'webhook-open-p50-ms', ours: of('ours', 'p50Ms'), floor: of('floor', 'p50Ms'), note: lag },
    { name: 'webhook-open-p99-ms', ours: of('ours', 'p99Ms'), floor: of('floor', 'p99Ms'), note: most },
  ];
}

/** A call each millisecond, on any connection that is free, or a new one. */
async function openLoop(url) {
  const port = Number(new URL(url).port);
  const head = {
    host: 'gateway',
    'content-type': 'application/json',
    'content-length': BODY.length,
    ...hmacHeaders(),
  };
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}`);
  const bytes = Buffer.from(['POST /hooks/in HTTP/1.1', ...lines, '', BODY].join('\r\n'));
  const free = [];
  let connections = 0;
  const times = [];
  const lags = [];
  const call = async (due) => {
    let caller = free.pop();
    if (caller === undefined) {
      connections += 1;
      if (connections > MOST)
        throw new Error(`${MOST} calls wait: this machine cannot do ${PER_SECOND} a second`);
      caller = await Caller.open(port);
    }
    const { status } = await caller.call(bytes);
    if (status !== 202) throw new Error(`a call was answered ${status}`);
    times.push(performance.now() - due);
    free.push(caller);
  };
  const calls = [];
  await eachDue(SECONDS * PER_SECOND, (due) => {
    lags.push(performance.now() - due);
    const one = call(due);
    // Looked at below: until then nobody has.
    one.catch(() => undefined);
    calls.push(one);
  });
  await Promise.all(calls);
  for (const caller of free) caller.close();
  return {
    calls: calls.length,
    connections,
    p50Ms: share(times, 0.5),
    p99Ms: share(times, 0.99),
    lagP50Ms: share(lags, 0.5),
    lagP99Ms: share(lags, 0.99),
  };
}

const share = (values, of) => values.toSorted((a, b) => a - b)[Math.floor(values.length * of)];

/**
 * Calls `fn` with each of `count` due times, in ms of this process's clock, `PER_SECOND` apart. A thread beside sleeps
 * until each: timers of the event loop are up to two milliseconds late.
 */
async function eachDue(count, fn) {
  const ticker = `
    const { parentPort, workerData: { count, gapMs } } = require('node:worker_threads');
    const nothing = new Int32Array(new SharedArrayBuffer(4));
    const now = () => performance.timeOrigin + performance.now();
    const start = now() + 20;
    for (let i = 0; i < count; i++) {
      const due = start + i * gapMs;
      const wait = due - now();
      if (wait > 0) Atomics.wait(nothing, 0, 0, wait);
      parentPort.postMessage(due);
    }`;
  const worker = new Worker(ticker, { eval: true, workerData: { count, gapMs: 1000 / PER_SECOND } });
  await new Promise((resolve, reject) => {
    let seen = 0;
    worker.on('error', reject);
    worker.on('message', (due) => {
      try {
        fn(due - performance.timeOrigin);
      } catch (error) {
        reject(error);
      }
      seen += 1;
      if (seen === count) resolve();
    });
  });
}
