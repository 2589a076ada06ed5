// How late durable webhook calls are answered, each timed by itself, in two ways:
// - 64 connections, each with a call at any time, from its sending on. All are open and have been answered once before:
//   node accepts one connection a turn of its loop, and a server that is busy takes a third of a second for 64.
// - 1,000 calls a second at fixed times, whether or not those before them have been answered, from when each was due on,
//   so that a server that stalls is late for all that come meanwhile.
// The floor gets the same calls. Afterwards every 202 must have its event and its execution.
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { callBytes, Caller } from '../scripts/lib/load-caller.mjs';
import { interleave, median, ROUNDS, scratch } from './lib.mjs';
import { BODY, checkDelivery, hmacHeaders, startBoth } from './webhook.mjs';

const SECONDS = 10;
const CONNECTIONS = 64;
const PER_SECOND = 1_000;
/** Before the gateway's own bound of connections. */
const MOST = 5_000;

export async function benchWebhookLate() {
  const closed = await measure(closedLoop);
  const note = `${CONNECTIONS} connections, each with a call at any time`;
  return [
    { name: 'webhook-hmac-p99-ms', ours: closed('ours', 'p99Ms'), floor: closed('floor', 'p99Ms'), note },
  ];
}

export async function benchWebhookOpen() {
  const open = await measure(openLoop);
  const lag = `the generator itself sent ${open('ours', 'lagP50Ms').toFixed(2)} ms (median) and ${open('ours', 'lagP99Ms').toFixed(2)} ms (p99) late, which counts`;
  const most = `${open('ours', 'connections')} connections`;
  return [
    { name: 'webhook-open-p50-ms', ours: open('ours', 'p50Ms'), floor: open('floor', 'p50Ms'), note: lag },
    { name: 'webhook-open-p99-ms', ours: open('ours', 'p99Ms'), floor: open('floor', 'p99Ms'), note: most },
  ];
}

/** By `loop`. Where a call fails, what the program said of itself is told too. */
async function callsTo(program, loop) {
  try {
    return await loop(program.url);
  } catch (error) {
    const last = program.output().slice(-2_000);
    throw new Error(`${error.message}, by ${program.url}, which printed last:\n${last}`, { cause: error });
  }
}

/** Both in turn by `loop`; gives the median of a figure of its results. */
async function measure(loop) {
  const { dir, remove } = scratch();
  const { gateway, floor } = await startBoth(dir, 'hmac');
  let sent = 0;
  const ours = async () => {
    const result = await callsTo(gateway, loop);
    sent += result.calls;
    return result;
  };
  const results = await interleave(ROUNDS, ours, () => callsTo(floor, loop));
  await gateway.stop();
  await floor.stop();
  checkDelivery(join(gateway.dataDir, 'tappet.db'), sent, 0);
  remove();
  return (who, figure) => median(results[who].map((one) => one[figure]));
}

async function callOnce(caller, bytes) {
  const { status, ms } = await caller.call(bytes);
  if (status !== 202) throw new Error(`a call was answered ${status}`);
  return ms;
}

/** As many calls as connections at any time. */
async function closedLoop(url) {
  const port = Number(new URL(url).port);
  const bytes = callBytes('/hooks/in', hmacHeaders(), BODY);
  const callers = await Promise.all(Array.from({ length: CONNECTIONS }, () => Caller.open(port)));
  await Promise.all(callers.map((caller) => callOnce(caller, bytes)));
  const times = [];
  const end = performance.now() + SECONDS * 1000;
  const goOn = async (caller) => {
    while (performance.now() < end) times.push(await callOnce(caller, bytes));
  };
  await Promise.all(callers.map(goOn));
  for (const caller of callers) caller.close();
  return { calls: times.length + CONNECTIONS, p99Ms: share(times, 0.99) };
}

/** A call each millisecond, on any connection that is free, or a new one. */
async function openLoop(url) {
  const port = Number(new URL(url).port);
  const bytes = callBytes('/hooks/in', hmacHeaders(), BODY);
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
    await callOnce(caller, bytes);
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
